"""What the compiler of TensorRT for RTX makes of every card: `python benchmarks/compiler.py -o FILE [--card NAME]`.

Each network gets random weights, and int8 made-up ranges, which do not change what it is compiled to. It is compiled in
float32, float16, int8 and int8 with float16 (target `trt`), and with the placement of target `trt-rtx`; with a batch of
one and with an open batch. No GPU is needed. The file is written after each row, the same command goes on after an
interrupt, and each network is compiled in a process of its own, so that none can end the others.

A detector cannot be read without a GPU, because its RoiAlign is a plugin that calls CUDA. Here stand-ins of the same
shapes take the place of RoiAlign and NonMaxSuppression, so that everything else is compiled (compiler_stand_ins.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from compiler_result import CompiledRow, CompilerResult
from compiler_stand_ins import with_stand_ins

from hrnet_deploy.bench.environment import environment
from hrnet_deploy.cards import ModelCard, card, cards
from hrnet_deploy.engines.trt.build import build_plan
from hrnet_deploy.engines.trt.compiled import read_compiled
from hrnet_deploy.engines.trt.flavour import RTX
from hrnet_deploy.errors import DeployError
from hrnet_deploy.graph.fp16 import to_fp16
from hrnet_deploy.graph.metadata import Description, describe, save_model
from hrnet_deploy.graph.plan import BuildOptions
from hrnet_deploy.graph.quantize import TARGETS, place, quantize
from hrnet_deploy.results import codec
from hrnet_deploy.workflow.network_export import ExportOptions
from hrnet_deploy.workflow.paper_networks import paper_networks
from hrnet_deploy.workflow.random_weights import random_model

FIRST = (  # the cards that are compiled first
    "pose_hrnet_w32_256x192",
    "pose_hrnet_w48_256x192",
    "seg_hrnetv2_w48_cityscapes_512x1024",
    "pose_resnet152_256x192",
)
PRECISIONS = ("fp32", "fp16", "int8", "int8 + fp16", "int8 for trt-rtx")
BATCHES = ("1", "open")
RANGE = (-3.0, 4.0)  # of every tensor: the values of scales do not change what a graph is compiled to
STAND_IN = "stand-ins of the same shapes take the place of {}, which need a GPU"
LIMIT = 1800  # seconds for one network and batch


def chosen_cards(names: list[str]) -> list[ModelCard]:
    """The named cards, or one card of each network and input size.

    First those of FIRST, then the others of the paper's cost table. Cards that differ in how results are decoded only
    have the same network.
    """
    order = dict.fromkeys((*FIRST, *(n.card.name for n in paper_networks()), *cards()))
    found: dict[tuple[object, ...], ModelCard] = {}
    for each in (card(n) for n in names or order):
        found.setdefault((each.architecture, each.input.height, each.input.width), each)
    return list(found.values())


def files(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The graph in each precision."""
    yield "fp32", model
    yield "fp16", to_fp16(model)[0]
    for target, plain in (("trt", "int8"), ("trt-rtx", "")):
        placement = place(model, TARGETS[target])
        made = quantize(model, TARGETS[target], placement, dict.fromkeys(placement.ranged, RANGE))
        if plain:
            yield plain, made
        yield "int8 + fp16" if plain else f"int8 for {target}", to_fp16(made)[0]


def compiled(
    chosen: ModelCard, batch: str, precision: str, model: onnx.ModelProto, description: Description
) -> CompiledRow:
    """Compile one graph."""
    row = CompiledRow(chosen.name, chosen.input.size, precision, batch)
    stand_in, replaced = with_stand_ins(model)
    describe(stand_in, description)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        save_model(stand_in, path)
        try:
            made = build_plan(RTX, path, description, BuildOptions(), None)
        except DeployError as error:
            return dataclasses.replace(row, error=str(error).replace(str(path), "the file"))
    graph = read_compiled(made.compiled)
    return dataclasses.replace(
        row,
        graph=None if graph is None else dataclasses.replace(graph, blocks=()),
        plan=len(made.plan),
        seconds=round(made.seconds, 1),
        remark=STAND_IN.format(" and ".join(replaced)) if replaced else "",
    )


def compile_card(chosen: ModelCard, batch: str, output: Path) -> None:
    """Compile one network with one batch in every precision that the file does not have yet."""
    done = codec.read_as(output, CompilerResult)
    have = {(r.card, r.batch, r.precision) for r in done.rows}
    model, description = random_model(chosen, ExportOptions(dynamic=("batch",) if batch == "open" else ()))
    rows = list(done.rows)
    for precision, graph in files(model):
        if (chosen.name, batch, precision) in have:
            continue
        rows.append(compiled(chosen, batch, precision, graph, description))
        codec.write(output, dataclasses.replace(done, rows=rows))
        print(chosen.name, batch, precision, rows[-1].error or f"{rows[-1].seconds} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--card", action="append", default=[], help="only this card; may be repeated")
    parser.add_argument("--one", metavar="BATCH", help=argparse.SUPPRESS)  # this process compiles one network
    args = parser.parse_args()
    chosen_ones = chosen_cards(args.card)
    if args.one:
        compile_card(chosen_ones[0], args.one, args.output)
        return
    if not args.output.exists():
        empty = CompilerResult(builder=f"{RTX.title} {RTX.version}", rows=[])
        codec.write(args.output, codec.with_origin(empty, shlex.join(["python", *sys.argv]), environment()))
    for batch in BATCHES:
        for chosen in chosen_ones:
            done = codec.read_as(args.output, CompilerResult)
            have = {r.precision for r in done.rows if (r.card, r.batch) == (chosen.name, batch)}
            if have >= set(PRECISIONS) or (
                batch == "open" and chosen.task == "detection"
            ):  # a detector takes one image
                continue
            command = [sys.executable, __file__, "-o", str(args.output), "--card", chosen.name, "--one", batch]
            try:
                code = subprocess.run(command, timeout=LIMIT).returncode
                why = "" if code == 0 else f"the process ended with {code}"
            except subprocess.TimeoutExpired:
                why = f"it took longer than {LIMIT} s"
            if why:
                done = codec.read_as(args.output, CompilerResult)
                have = {r.precision for r in done.rows if (r.card, r.batch) == (chosen.name, batch)}
                missing = next(p for p in PRECISIONS if p not in have)
                row = CompiledRow(chosen.name, chosen.input.size, missing, batch, error=why)
                codec.write(args.output, dataclasses.replace(done, rows=[*done.rows, row]))


if __name__ == "__main__":
    main()
