"""export: checkpoint to ONNX; quantize: to int8; half: to float16; build: to a plan of TensorRT."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import (
    PREPARE,
    app,
    console,
    counting,
    parse_bounds,
    parse_count,
    parse_list,
    parse_size,
    print_json,
    working,
)


class Exporter(StrEnum):
    dynamo = "dynamo"
    torchscript = "torchscript"


class Target(StrEnum):
    ort = "ort"
    openvino = "openvino"
    trt = "trt"


class Fusion(StrEnum):
    int8 = "int8"
    float = "float"


class Method(StrEnum):
    minmax = "minmax"
    average = "average"
    percentile = "percentile"
    mse = "mse"
    entropy = "entropy"


@app.command(rich_help_panel=PREPARE)
def export(
    checkpoint: Annotated[
        str, typer.Argument(help="A .pth, .pt or .safetensors file, or a card that comes with weights.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")],
    size: Annotated[str | None, typer.Option(help="Input as HEIGHTxWIDTH; the card's unless given.")] = None,
    batch: Annotated[int, typer.Option(help="The fixed batch.")] = 1,
    dynamic: Annotated[str, typer.Option(help="Axes to leave open: batch,height,width.")] = "",
    card: Annotated[
        str, typer.Option(help="The card to use where the tensors fit several, or a card of your own (FILE.yaml).")
    ] = "",
    embed: Annotated[bool, typer.Option("--embed", help="uint8 RGB pixels in, keypoints or labels out.")] = False,
    flip_test: Annotated[
        bool, typer.Option("--flip-test", help="With --embed: average with the mirror image.")
    ] = False,
    align_corners: Annotated[
        bool | None, typer.Option(help="How a segmentation network upsamples, where you know better.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="A folder of real images to verify on.")] = None,
    opset: Annotated[int | None, typer.Option(help="The ONNX opset; 20 unless given.")] = None,
    exporter: Annotated[Exporter, typer.Option(help="torch's exporter.")] = Exporter.dynamo,
    simplify: Annotated[bool, typer.Option(help="Run onnxsim, in a process of its own, and compare.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """Checkpoint to a simplified, verified ONNX file that describes itself.

    The architecture is read from the tensors. The result is compared with
    PyTorch on seeded and on real inputs; past the budget the exit code is 1.

    Example: hrnet-deploy export pose_hrnet_w32.pth -o pose.onnx --size 256x192
    """
    from hrnet_deploy.jobs import export as job
    from hrnet_deploy.report import verdicts

    options = job.ExportOptions(
        size=parse_size(size),
        batch=batch,
        dynamic=tuple(parse_list(dynamic)),
        opset=opset,
        exporter=exporter.value,
        simplify=simplify,
        embed=embed,
        flip_test=flip_test,
        align_corners=align_corners,
    )
    with working() as say:
        done = job.export(checkpoint, output, options, images, card, force, say)
    if json:
        print_json(done.to_dict())
    else:
        verdicts.exported(console(), done)
    if not done.passed:
        raise typer.Exit(1)


@app.command(rich_help_panel=PREPARE)
def quantize(
    model: Annotated[Path, typer.Argument(help="A float32 ONNX file made by export.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The int8 ONNX file to write.")],
    images: Annotated[Path, typer.Option(help="A folder of real images; its annotations.json or labels/ is used.")],
    annotations: Annotated[
        Path | None, typer.Option(help="COCO annotations or detections of them, or a folder of label maps.")
    ] = None,
    limit: Annotated[int, typer.Option(help="Calibrate on that many images, at most half of them.")] = 64,
    held_out: Annotated[
        int, typer.Option(help="Judge the result on that many others; a search chooses by as many again.")
    ] = 500,
    seed: Annotated[int, typer.Option(help="Which images are chosen.")] = 0,
    target: Annotated[Target, typer.Option(help="The engine it is for: each fuses in its own way.")] = Target.ort,
    method: Annotated[Method, typer.Option(help="How a range follows from what was seen.")] = Method.mse,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Operators to leave in float, 'stage4.2.*'. Repeatable.")
    ] = None,
    fusion: Annotated[
        Fusion, typer.Option(help="What sums and resizes between branches are computed in.")
    ] = Fusion.int8,
    max_drop: Annotated[
        float | None, typer.Option(help="Leave blocks in float until the metric moves at most this, in points.")
    ] = None,
    sensitivity: Annotated[
        list[Path] | None, typer.Option(help="Write what each block costs: .json or .svg. Repeatable.")
    ] = None,
    speed: Annotated[
        bool | None, typer.Option(help="Measure what is left in float. Default: where a search left some.")
    ] = None,
    reduced: Annotated[
        bool | None, typer.Option(help="7-bit weights, for x86 without VNNI. Default: what this processor needs.")
    ] = None,
    ranges: Annotated[
        Path | None, typer.Option(help="Keep statistics and findings in this file and beside it; go on from them.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads; all available unless given.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """Float32 ONNX to int8, calibrated on real images and judged on others.

    Writes nothing where the loss is past the budget (exit code 1), and says
    which blocks cost most. With --max-drop it searches what to leave in float,
    and judges what it found once more, on images it did not choose by.

    Example: hrnet-deploy quantize pose.onnx -o int8.onnx --images val --target ort
    """
    from json import loads

    from hrnet_deploy.files import json_text
    from hrnet_deploy.jobs import quantize as job
    from hrnet_deploy.report import verdicts
    from hrnet_deploy.results import sensitivity as blocks
    from hrnet_deploy.results.codec import from_dict
    from hrnet_deploy.workflow.split import Split

    pictures = sensitivity or []
    blocks.check_outputs(pictures, force)
    request = job.Request(
        model=model,
        output=output,
        split=Split(images, annotations, limit, held_out, seed),
        target=target.value,
        method=method.value,
        exclude=tuple(exclude or ()),
        fusion=fusion.value,
        max_drop=max_drop,
        reduced=reduced,
        statistics=ranges,
        sensitivity=bool(pictures),
        speed=speed,
        threads=threads,
        force=force,
    )
    with counting("quantizing") as progress:
        done = job.quantize(request, progress.say, progress)
    for path in pictures:
        table = from_dict(loads(json_text(done.to_dict())), "the result")
        blocks.write(path, table)  # type: ignore[arg-type]
    if json:
        print_json(done.to_dict())
    else:
        verdicts.quantized(console(), done)
    if not done.passed:
        raise typer.Exit(1)


@app.command(rich_help_panel=PREPARE)
def half(
    model: Annotated[Path, typer.Argument(help="An ONNX file made by export or quantize.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The float16 ONNX file to write.")],
    images: Annotated[
        Path | None, typer.Option(help="A folder of real images, to see how large values become.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """Float values to float16; inputs and outputs stay float32.

    What does not fit float16 on the images stays in float32 and is named.
    Writes nothing where the result moves past its budget (exit code 1).

    Example: hrnet-deploy half pose.onnx -o half.onnx --images val
    """
    from hrnet_deploy.jobs.half import half as job
    from hrnet_deploy.report import verdicts

    with counting("halving") as progress:
        done = job(model, output, images, force, progress)
    if json:
        print_json(done.to_dict())
    else:
        verdicts.halved(console(), done)
    if not done.passed:
        raise typer.Exit(1)


class BuildEngine(StrEnum):
    trt = "trt"


@app.command(rich_help_panel=PREPARE)
def build(
    model: Annotated[Path, typer.Argument(help="An ONNX file made by export, quantize --target trt or half.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The plan to write, X.plan; its manifest goes beside it.")
    ],
    engine: Annotated[BuildEngine, typer.Option(help="The engine to build for.")] = BuildEngine.trt,
    batch: Annotated[
        str | None, typer.Option(help="Bounds of an open batch, MIN:OPT:MAX; 1:1:16 unless given.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Bounds of an open size, HxW:HxW:HxW; the card's unless given.")
    ] = None,
    workspace: Annotated[int | None, typer.Option(help="Most memory a kernel may take while it runs, in MB.")] = None,
    level: Annotated[int, typer.Option(help="0 builds fast, 5 tries most.")] = 3,
    aux_streams: Annotated[
        int | None, typer.Option("--aux-streams", help="Streams beside the first; its own choice if none.")
    ] = None,
    tf32: Annotated[bool, typer.Option("--tf32", help="Let float32 be computed in TF32.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing plan.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """An ONNX file to a TensorRT plan, with a manifest of what it fits.

    Precision is what the file says: build the int8 or float16 file for int8
    or float16. A plan fits this GPU and this TensorRT alone, so keep the file.

    Example: hrnet-deploy build int8.onnx --engine trt -o int8.plan --batch 1:8:32
    """
    from hrnet_deploy.graph.plan import BuildOptions
    from hrnet_deploy.jobs.build import build as job
    from hrnet_deploy.report import verdicts

    options = BuildOptions(
        batch=parse_bounds(batch, parse_count, "--batch"),
        size=parse_bounds(size, parse_size, "--size"),
        workspace=None if workspace is None else workspace * 2**20,
        level=level,
        aux_streams=aux_streams,
        tf32=tf32,
    )
    with working() as say:
        done = job(model, output, options, force, say)
    if json:
        print_json(done.to_dict())
    else:
        verdicts.built(console(), done)
