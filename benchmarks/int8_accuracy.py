"""What int8 costs the demo model, by target and calibration method: `python benchmarks/int8_accuracy.py -o FILE`.

Calibrates on 64 generated images and scores 500 others, in ONNX Runtime and, what is made for OpenVINO, there too; then
again with one calibration input a thousand times too large; then with float16 between the integers. A search for what
to leave in float chooses by 500 images and is judged on 500 others. Writes every figure as JSON as it comes and goes on
from what FILE holds already; prints the table as Markdown. About half an hour on two cores.
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

from hrnet_deploy.bench.environment import environment  # noqa: E402
from hrnet_deploy.cards import ModelCard, card  # noqa: E402
from hrnet_deploy.files import read_json, write_json  # noqa: E402
from hrnet_deploy.graph.quantize import TARGETS  # noqa: E402
from hrnet_deploy.graph.ranges import METHODS  # noqa: E402
from hrnet_deploy.jobs.check import Request as CheckRequest  # noqa: E402
from hrnet_deploy.jobs.check import check  # noqa: E402
from hrnet_deploy.jobs.export import ExportOptions, export  # noqa: E402
from hrnet_deploy.jobs.half import half  # noqa: E402
from hrnet_deploy.jobs.quantize import Request, quantize  # noqa: E402
from hrnet_deploy.parity import TaskFigures  # noqa: E402
from hrnet_deploy.precision.search import Trial  # noqa: E402
from hrnet_deploy.tasks.base import Contract, Sample  # noqa: E402
from hrnet_deploy.tasks.dataset import Item  # noqa: E402
from hrnet_deploy.tasks.images import Image  # noqa: E402
from hrnet_deploy.tasks.pose.task import PoseTask  # noqa: E402
from hrnet_deploy.workflow.split import Split  # noqa: E402

NAME = "pose_hrnet_w16_demo_128x96"
CALIBRATION, HELD_OUT, SEED = 64, 500, 10_003


class OneWild(PoseTask):
    """The pose task, but one image reaches the network a thousand times too large."""

    def __init__(self, card: ModelCard, wild: int) -> None:
        super().__init__(card, Contract())
        self.wild = wild

    def samples(self, image: Image, item: Item) -> list[Sample]:
        found = super().samples(image, item)
        if item.image_id != self.wild:
            return found
        return [
            Sample(s.image_id, {k: (v * 1000).astype(np.float32) for k, v in s.feed.items()}, s.context) for s in found
        ]


class Results:
    """Figures by name, written at each; what is there already is not made again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, Any] = read_json(path, "figures of an earlier run") if path.exists() else {}

    def once(self, part: str, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        section = self.found.setdefault(part, {})
        if name not in section:
            section[name] = make()
            write_json(self.path, self.found)
        return section[name]


def figures(task: TaskFigures) -> dict[str, Any]:
    pixels, (tensor,) = task.distance.figures["pixels_mean"], task.tensors
    return {
        "drop": task.difference,
        "interval": task.interval,
        "pixels": pixels,
        "sqnr_db": tensor.sqnr_db,
        "images": task.images,
    }


def trial(done: Trial) -> dict[str, Any]:
    return {"excluded": done.excluded, "convolutions": done.convolutions, "on": done.on, **figures(done.figures)}


def drop_of(found: dict[str, Any]) -> str:
    return f"{found['drop']:+.2f} ({found['interval'][0]:+.2f} to {found['interval'][1]:+.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    results = Results(parser.parse_args().output)
    results.found |= {
        "schema": 1,
        "kind": "int8_accuracy",
        "command": shlex.join(["python", *sys.argv]),
        "environment": environment(),
    }
    results.found |= {"card": NAME, "calibration": CALIBRATION, "held_out": HELD_OUT}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people, more, model, out = folder / "people", folder / "more", folder / "model.onnx", folder / "out.onnx"
        generate(people, range(CALIBRATION + HELD_OUT), seed=SEED)
        export(NAME, model, ExportOptions(dynamic=("batch",)))
        base = Request(model, out, Split(people, limit=CALIBRATION, held_out=HELD_OUT), force=True)
        parts = base.split.parts()
        wild = next(i.image_id for i in parts.calibration.items if i.annotations)

        def made(task: PoseTask | None = None, **options: Any) -> dict[str, Any]:
            statistics = folder / ("wild.npz" if task else "clean.npz")
            return figures(
                quantize(dataclasses.replace(base, statistics=statistics, **options), task=task).trials[-1].figures
            )

        def elsewhere(engine: str, half_too: bool = False, **options: Any) -> dict[str, Any]:
            """The same file in another engine, or with float16 between its integers."""
            path = folder / "half.onnx" if half_too else out
            if not quantize(dataclasses.replace(base, statistics=folder / "clean.npz", **options)).passed:
                return {"drop": None, "interval": None}
            if half_too:
                half(out, path, people, force=True)
            return checked(path, engine)

        def checked(path: Path, engine: str) -> dict[str, Any]:
            return figures(check(CheckRequest(path, NAME, people, engine=engine), dataset=parts.test).task)

        print("| target | method | AP difference | 95% interval | px | one input x1000 |\n|---|---|---|---|---|---|")
        for target, method in itertools.product(TARGETS, METHODS):
            options = {"target": target, "method": method}
            clean = results.once("int8", f"{target} {method}", lambda o=options: made(**o))
            broken = results.once("wild", f"{target} {method}", lambda o=options: made(OneWild(card(NAME), wild), **o))
            low, high = clean["interval"]
            cells = [target, method, f"{clean['drop']:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{clean['pixels']:.2f}"]
            print(f"| {' | '.join([*cells, format(broken['drop'], '+.2f')])} |", flush=True)
        for method in METHODS:
            found = results.once(
                "openvino in openvino", method, lambda m=method: elsewhere("openvino", target="openvino", method=m)
            )
            print(f"openvino {method}, in OpenVINO: {drop_of(found)}", flush=True)
        for method in METHODS:
            found = results.once(
                "trt and float16", method, lambda m=method: elsewhere("ort", True, target="trt", method=m)
            )
            print(f"trt {method} and float16, in ONNX Runtime: {drop_of(found)}", flush=True)
        halved = folder / "float16.onnx"
        half(model, halved, people, force=True)
        for kind, engine, path in (
            ("fp16", "ort", halved),
            ("fp16", "openvino", halved),
            ("bf16", "openvino:precision=bf16", model),
        ):
            found = results.once("halves", f"{kind} in {engine}", lambda e=engine, p=path: checked(p, e))
            print(f"{kind} in {engine}: {drop_of(found)}", flush=True)

        generate(more, range(CALIBRATION + 2 * HELD_OUT), seed=SEED)
        split = Split(more, limit=CALIBRATION, held_out=HELD_OUT)
        for target in TARGETS:
            request = dataclasses.replace(
                base, split=split, target=target, method="minmax", max_drop=0.1, statistics=folder / "more.npz"
            )

            def searched(request: Request = request) -> dict[str, Any]:
                done = quantize(dataclasses.replace(request, sensitivity=True))
                return {"trials": [trial(t) for t in done.trials], "blocks": [vars(b) for b in done.blocks]}

            trials = results.once("search", target, searched)["trials"]
            said = (
                f"{t['convolutions']} in int8 {drop_of(t)} on those {'chosen by' if t['on'] == 'choice' else 'unseen'}"
                for t in trials
            )
            print(f"{target}, within 0.1: {'; '.join(said)}", flush=True)


if __name__ == "__main__":
    main()
