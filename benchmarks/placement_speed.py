"""What each part of a placement gains or costs: `python benchmarks/placement_speed.py -o FILE [--card NAME]`.

The int8 graph of an engine, and the same with one kind of operator left in float: the fusion's Adds and Resizes, all
Adds, the stem, the head. Random weights: speed only. All rows take turns in one run.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import tempfile
from pathlib import Path

from int8_speed import saved
from rich.console import Console

from hrnet_deploy.bench.rows import RowAndSpec, row_of
from hrnet_deploy.bench.run import Schedule, run
from hrnet_deploy.cards import card
from hrnet_deploy.graph.quantize import TARGETS, place, quantize
from hrnet_deploy.results import codec
from hrnet_deploy.results.documents import document_of
from hrnet_deploy.results.render import terminal
from hrnet_deploy.threads import available_threads
from hrnet_deploy.workflow.network_export import ExportOptions
from hrnet_deploy.workflow.random_weights import noise_ranges, random_model

FUSION = ("stage?.?.add*", "stage?.?.resize*")
RESIDUAL = ("*.branches.*.add*", "layer1.*.add*")
LEFT: dict[str, tuple[str, ...]] = {  # what stays in float, by the name of the variant
    "nothing": (),
    "fusion": FUSION,
    "residual": RESIDUAL,
    "every-add": (*FUSION, *RESIDUAL),
    "stem": ("conv1", "conv2"),
    "first-convolution": ("conv1",),
    "head": ("final_layer",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--card", default="pose_hrnet_w48_256x192")
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    chosen, threads = card(args.card), available_threads()
    model, description = random_model(chosen, ExportOptions())
    ranges = noise_ranges(model, chosen)
    with tempfile.TemporaryDirectory() as folder:
        rows: list[RowAndSpec] = []
        for engine in ("ort", "openvino"):
            target = TARGETS[engine]
            for name, left in LEFT.items():
                made = quantize(model, target, place(model, target, left), ranges)
                subject = saved(made, description, Path(folder, f"{engine}-{name}.onnx"), "int8")
                row, job = row_of(dataclasses.replace(subject, name=f"{name} in float"), engine, 1, threads)
                rows.append((row, job))
            other = TARGETS["openvino" if engine == "ort" else "ort"]
            made = quantize(model, other, place(model, other), ranges)
            subject = saved(made, description, Path(folder, f"{engine}-other.onnx"), "int8")
            rows.append(row_of(dataclasses.replace(subject, name=f"{other.name}'s placement"), engine, 1, threads))
        result = dataclasses.replace(
            run(rows, Schedule(seconds=args.seconds, regions=("compute",))), command=shlex.join(["python", *sys.argv])
        )
    terminal.show(Console(highlight=False, width=150), document_of(result, args.output.name))
    codec.write(args.output, result)


if __name__ == "__main__":
    main()
