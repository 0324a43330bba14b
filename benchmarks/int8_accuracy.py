"""What int8 costs the demo model, by target and calibration method: `python benchmarks/int8_accuracy.py -o FILE`.

Calibrates on 64 generated images and scores 500 others, then again with one calibration input a thousand times too
large. Writes every figure as JSON and prints the table as Markdown. About twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "models/demo"))

from generate import generate  # noqa: E402

from hrnet_deploy.bench.environment import environment  # noqa: E402
from hrnet_deploy.cards import ModelCard, card  # noqa: E402
from hrnet_deploy.files import write_json  # noqa: E402
from hrnet_deploy.graph.quantize import TARGETS  # noqa: E402
from hrnet_deploy.graph.ranges import METHODS  # noqa: E402
from hrnet_deploy.jobs.check import Request as CheckRequest  # noqa: E402
from hrnet_deploy.jobs.check import check  # noqa: E402
from hrnet_deploy.jobs.export import Options, export  # noqa: E402
from hrnet_deploy.jobs.half import half  # noqa: E402
from hrnet_deploy.jobs.quantize import Quantized, Request, Split, quantize  # noqa: E402
from hrnet_deploy.tasks.base import Contract, Sample  # noqa: E402
from hrnet_deploy.tasks.dataset import Item  # noqa: E402
from hrnet_deploy.tasks.images import Image  # noqa: E402
from hrnet_deploy.tasks.pose import PoseTask  # noqa: E402

NAME = "pose_hrnet_w16_demo_128x96"
CALIBRATION, HELD_OUT, SEED = 64, 500, 10_003


class OneWild(PoseTask):
    """The pose task, but one image reaches the network a thousand times too large."""

    def __init__(self, card: ModelCard, wild: int) -> None:
        super().__init__(card, Contract(), False)
        self.wild = wild

    def samples(self, image: Image, item: Item) -> list[Sample]:
        found = super().samples(image, item)
        if item.image_id != self.wild:
            return found
        return [Sample(s.image_id, {k: (v * 1000).astype(np.float32) for k, v in s.feed.items()}, s.context) for s in found]


def figures(done: Quantized) -> dict[str, Any]:
    last = done.trials[-1].figures
    return {"drop": last.difference, "interval": last.interval, "pixels": last.distance.figures["pixels_mean"], "passed": done.passed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    output: Path = parser.parse_args().output
    found: dict[str, Any] = {
        "schema": 1,
        "kind": "int8_accuracy",
        "command": shlex.join(["python", *sys.argv]),
        "environment": environment(),
        "card": NAME,
        "calibration": CALIBRATION,
        "held_out": HELD_OUT,
        "int8": {},
        "wild": {},
        "mixed": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people, model = folder / "people", folder / "model.onnx"
        generate(people, range(CALIBRATION + HELD_OUT), seed=SEED)
        export(NAME, model, Options(dynamic=("batch",)))

        split = Split(people, limit=CALIBRATION, held_out=HELD_OUT)

        def request(target: str, method: str, statistics: str, max_drop: float | None = None) -> Request:
            return Request(
                model=model,
                output=folder / "out.onnx",
                split=split,
                target=target,
                method=method,
                statistics=folder / statistics,
                max_drop=max_drop,
                force=True,
            )

        calibration, _ = split.datasets()
        wild = next(i.image_id for i in calibration.items if i.annotations)
        print("| target | method | AP difference | 95% interval | px | one input x1000 |\n|---|---|---|---|---|---|")
        for target in TARGETS:
            for method in METHODS:
                clean = figures(quantize(request(target, method, "clean.npz")))
                broken = figures(quantize(request(target, method, "wild.npz"), task=OneWild(card(NAME), wild)))
                found["int8"][f"{target} {method}"], found["wild"][f"{target} {method}"] = clean, broken
                low, high = clean["interval"]
                cells = [target, method, f"{clean['drop']:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{clean['pixels']:.2f}"]
                print(f"| {' | '.join([*cells, format(broken['drop'], '+.2f')])} |", flush=True)
        for target in TARGETS:
            done = quantize(request(target, "minmax", "clean.npz", max_drop=0.1))
            trials = [{"excluded": t.excluded, "convolutions": t.convolutions, "drop": t.figures.difference} for t in done.trials]
            found["mixed"][target] = {"trials": trials, "blocks": [vars(b) for b in done.blocks]}
            print(f"{target}, kept within 0.1: " + "; ".join(f"{t['convolutions']} in int8 {t['drop']:+.2f}" for t in trials), flush=True)
        halved = folder / "half.onnx"
        half(model, halved, people, force=True)
        for engine, path in (("ort", halved), ("openvino", halved), ("openvino:precision=bf16", model)):
            report = check(CheckRequest(path, NAME, people, limit=HELD_OUT, engine=engine))
            found[f"{report.precision} in {engine}"] = {"drop": report.task.difference, "interval": report.task.interval}
            print(f"{report.precision} in {engine}: {report.task.difference:+.3f}", flush=True)
    write_json(output, found)


if __name__ == "__main__":
    main()
