"""What int8 costs the demo model, by target and calibration method: `python benchmarks/int8_accuracy.py -o FILE`.

Calibrates on 64 generated images and scores 500 others, in ONNX Runtime and, what is made for OpenVINO, there too; then
again with one calibration input a thousand times too large; then with float16 between the integers. A search for what
to leave in float chooses on a validation set of 500 images and is judged on a test set of 500 others. It writes every
figure as it comes, goes on from what FILE holds already, and prints the table as Markdown. It takes about half an hour
on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "models/demo"))

from generate import generate  # noqa: E402
from int8_accuracy_result import Difference, FloatSearch, Int8AccuracyResult, Step  # noqa: E402

from hrnet_deploy.bench.environment import environment  # noqa: E402
from hrnet_deploy.cards import ModelCard, card  # noqa: E402
from hrnet_deploy.graph.quantize import TARGETS  # noqa: E402
from hrnet_deploy.graph.ranges import METHODS  # noqa: E402
from hrnet_deploy.jobs.check import CheckRequest, check  # noqa: E402
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export  # noqa: E402
from hrnet_deploy.jobs.half import HalfRequest, half  # noqa: E402
from hrnet_deploy.jobs.quantize import QuantizeRequest, quantize  # noqa: E402
from hrnet_deploy.results import codec  # noqa: E402
from hrnet_deploy.results.figures import TaskFigures  # noqa: E402
from hrnet_deploy.results.quantization import BlockCost, Trial  # noqa: E402
from hrnet_deploy.results.wording import PARTS  # noqa: E402
from hrnet_deploy.tasks.base import InputFormat, Sample  # noqa: E402
from hrnet_deploy.tasks.dataset import Item  # noqa: E402
from hrnet_deploy.tasks.images import Image  # noqa: E402
from hrnet_deploy.tasks.pose.task import PoseTask  # noqa: E402
from hrnet_deploy.workflow.split import Split  # noqa: E402

NAME = "pose_hrnet_w16_demo_128x96"
CALIBRATION, HELD_OUT, SEED = 64, 500, 10_003


class OneWild(PoseTask):
    """The pose task, but one image reaches the network a thousand times too large."""

    def __init__(self, card: ModelCard, wild: int) -> None:
        super().__init__(card, InputFormat())
        self.wild = wild

    def samples(self, image: Image, item: Item) -> list[Sample]:
        found = super().samples(image, item)
        if item.image_id != self.wild:
            return found
        return [
            Sample(s.image_id, {k: (v * 1000).astype(np.float32) for k, v in s.feed.items()}, s.context) for s in found
        ]


class Results:
    """Figures by name, written as each comes. What the file holds already is not made again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            self.found = codec.read_as(path, Int8AccuracyResult)
            return
        here = environment()
        empty = Int8AccuracyResult(card=NAME, calibration=CALIBRATION, held_out=HELD_OUT)
        self.found = codec.with_origin(empty, shlex.join(["python", *sys.argv]), here)

    def once(self, part: str, name: str, make: Callable[[], Any]) -> Any:
        """A figure of `int8`, `wild`, `halves` or `search`."""
        known = getattr(self.found, part)
        if name not in known:
            self._keep(**{part: {**known, name: make()}})
        return getattr(self.found, part)[name]

    def elsewhere(self, title: str, method: str, make: Callable[[], Difference]) -> Difference:
        """A figure of the same graph in another engine, or with float16 between its integers."""
        known = self.found.elsewhere
        if method not in known.get(title, {}):
            self._keep(elsewhere={**known, title: {**known.get(title, {}), method: make()}})
        return self.found.elsewhere[title][method]

    def _keep(self, **parts: Any) -> None:
        self.found = dataclasses.replace(self.found, **parts)
        codec.write(self.path, self.found)


def figures(task: TaskFigures) -> dict[str, Any]:
    pixels, (tensor,) = float(task.distance.figures["pixels_mean"]), task.tensors
    return {
        "drop": task.difference,
        "interval": task.interval,
        "pixels": pixels,
        "sqnr_db": tensor.sqnr_db,
        "images": task.images,
    }


def step(done: Trial) -> Step:
    return Step(excluded=done.excluded, convolutions=done.convolutions, on=done.on, **figures(done.figures))


def drop_of(found: Difference) -> str:
    if found.drop is None or found.interval is None:
        return "not written"
    return f"{found.drop:+.2f} ({found.interval[0]:+.2f} to {found.interval[1]:+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    results = Results(parser.parse_args().output)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people, more, model, out = folder / "people", folder / "more", folder / "model.onnx", folder / "out.onnx"
        generate(people, range(CALIBRATION + HELD_OUT), seed=SEED)
        export(ExportRequest(NAME, model, ExportOptions(dynamic=("batch",))))
        split = Split(people, calibration_images=CALIBRATION, held_out=HELD_OUT)
        base = QuantizeRequest(model, out, split, force=True)
        parts = base.split.parts()
        wild = next(i.image_id for i in parts.calibration.items if i.annotations)

        def made(task: PoseTask | None = None, **options: Any) -> Difference:
            cache = folder / ("wild.npz" if task else "clean.npz")
            done = quantize(dataclasses.replace(base, calibration_cache=cache, task=task, **options))
            return Difference(**figures(done.trials[-1].figures))

        def elsewhere(engine: str, half_too: bool = False, **options: Any) -> Difference:
            """The same file in another engine, or with float16 between its integers."""
            path = folder / "half.onnx" if half_too else out
            if not quantize(dataclasses.replace(base, calibration_cache=folder / "clean.npz", **options)).passed:
                return Difference(drop=None, interval=None)
            if half_too:
                half(HalfRequest(out, path, people, force=True))
            return checked(path, engine)

        def checked(path: Path, engine: str) -> Difference:
            task = check(CheckRequest(path, NAME, people, engine=engine, dataset=parts.test)).task
            return Difference(**figures(task))

        print("| target | method | AP difference (95% interval) | px | one input x1000 |\n|---|---|---|---|---|")
        for target, method in itertools.product(TARGETS, METHODS):
            options = {"target": target, "method": method}
            clean = results.once("int8", f"{target} {method}", lambda o=options: made(**o))
            broken = results.once("wild", f"{target} {method}", lambda o=options: made(OneWild(card(NAME), wild), **o))
            cells = [target, method, drop_of(clean), f"{clean.pixels:.2f}", drop_of(broken)]
            print(f"| {' | '.join(cells)} |", flush=True)
        for method in METHODS:
            title = "openvino, run in OpenVINO"
            found = results.elsewhere(
                title, method, lambda m=method: elsewhere("openvino", target="openvino", method=m)
            )
            print(f"openvino {method}, in OpenVINO: {drop_of(found)}", flush=True)
        for method in METHODS:
            title = "trt with float16 between, run in ONNX Runtime"
            found = results.elsewhere(title, method, lambda m=method: elsewhere("ort", True, target="trt", method=m))
            print(f"trt {method} and float16, in ONNX Runtime: {drop_of(found)}", flush=True)
        halved = folder / "float16.onnx"
        half(HalfRequest(model, halved, people, force=True))
        for kind, engine, path in (
            ("fp16", "ort", halved),
            ("fp16", "openvino", halved),
            ("bf16", "openvino:precision=bf16", model),
        ):
            found = results.once("halves", f"{kind} in {engine}", lambda e=engine, p=path: checked(p, e))
            print(f"{kind} in {engine}: {drop_of(found)}", flush=True)

        generate(more, range(CALIBRATION + 2 * HELD_OUT), seed=SEED)
        split = Split(more, calibration_images=CALIBRATION, held_out=HELD_OUT)
        for target in TARGETS:
            request = dataclasses.replace(
                base, split=split, target=target, method="minmax", max_drop=0.1, calibration_cache=folder / "more.npz"
            )

            def searched(request: QuantizeRequest = request) -> FloatSearch:
                done = quantize(dataclasses.replace(request, sensitivity=True))
                blocks = [BlockCost(b.pattern, b.convolutions, b.sqnr_db) for b in done.blocks]
                return FloatSearch([step(t) for t in done.trials], blocks)

            trials = results.once("search", target, searched).trials
            said = (f"{t.convolutions} in int8 {drop_of(t)} on the {PARTS[t.on]}" for t in trials)
            print(f"{target}, within 0.1: {'; '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
