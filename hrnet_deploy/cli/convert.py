"""export, quantize, half and build: commands that make an ONNX file, an int8 file, a float16 file and a TensorRT
plan."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import PREPARE, command, renamed
from hrnet_deploy.cli.output import check_outputs, finish
from hrnet_deploy.cli.parsing import detector_boxes, optional_size, parse_bounds, parse_count, parse_list, parse_size

if TYPE_CHECKING:
    from hrnet_deploy.results.quantization import QuantizeResult


class Exporter(StrEnum):
    dynamo = "dynamo"
    torchscript = "torchscript"


class Target(StrEnum):
    ort = "ort"
    openvino = "openvino"
    trt = "trt"
    trt_rtx = "trt-rtx"


class BranchFusion(StrEnum):
    int8 = "int8"
    float = "float"


class Method(StrEnum):
    minmax = "minmax"
    average = "average"
    percentile = "percentile"
    mse = "mse"
    entropy = "entropy"


class BuildEngine(StrEnum):
    trt = "trt"
    trt_rtx = "trt-rtx"


@command(rich_help_panel=PREPARE)
def export(
    checkpoint: options.Checkpoint,
    output: Annotated[Path, typer.Option("-o", "--output", help="The ONNX file to write.")],
    size: options.Size = None,
    batch: Annotated[int, typer.Option(help="The fixed batch size.")] = 1,
    dynamic: Annotated[
        str, typer.Option(metavar="LIST", help="Axes to leave open: batch, height and width, separated by commas.")
    ] = "",
    card: Annotated[
        str,
        typer.Option(help="The card to use if the weights fit several, or your own card (FILE.yaml)."),
    ] = "",
    weights_key: options.WeightsKey = "",
    embed: Annotated[
        bool,
        typer.Option(
            "--embed", help="Include preprocessing and decoding: uint8 RGB pixels in, keypoints or labels out."
        ),
    ] = False,
    flip_test: Annotated[
        bool, typer.Option("--flip-test", help="With --embed: average with the result of the mirror image.")
    ] = False,
    align_corners: Annotated[
        bool | None,
        typer.Option(help="How a segmentation network upsamples, if you know that the card is wrong."),
    ] = None,
    decode: options.Decode = None,
    geometry: options.Geometry = None,
    images: Annotated[Path | None, typer.Option(help="A folder of real images to verify on.")] = None,
    strict: options.Strict = False,
    opset: Annotated[
        int | None, typer.Option(help="The ONNX opset, 11 to 23. Default: 20. Under 18, the exporter is torchscript.")
    ] = None,
    exporter: Annotated[
        Exporter | None, typer.Option(help="Which of PyTorch's exporters to use. Default: the one that fits the opset.")
    ] = None,
    simplify: Annotated[bool, typer.Option(help="Run onnxsim in a separate process, and compare its result.")] = True,
    report: options.Report = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Export a checkpoint to a simplified and verified ONNX file.

    The architecture is recognised from the weights, and the file contains its
    own description. It is compared with PyTorch on seeded noise and on real
    images. Exits with 1 if a limit is exceeded.

    Example: hrnet-deploy export pose_hrnet_w32.pth -o pose.onnx --size 256x192
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.export import ExportOptions, ExportRequest
    from hrnet_deploy.jobs.export import export as job

    check_outputs(force, report)
    graph = ExportOptions(
        size=optional_size(size),
        batch=batch,
        dynamic=tuple(parse_list(dynamic)),
        opset=opset,
        exporter=None if exporter is None else exporter.value,
        simplify=simplify,
        embed=embed,
        flip_test=flip_test,
        align_corners=align_corners,
        decode=decode or "",
        geometry=geometry or "",
    )
    request = ExportRequest(checkpoint, output, graph, images, card, force, weights_key, strict=strict)
    with shown() as progress:
        result = job(request, progress)
    finish(result, json, report)


@command(
    rich_help_panel=PREPARE,
    cls=renamed(
        {
            "--limit": "--calibration-images",
            "--ranges": "--calibration-cache",
            "--fusion": "--branch-fusion",
            "--reduced": "--reduce-range",
            "--no-reduced": "--no-reduce-range",
        }
    ),
)
def quantize(
    model: Annotated[Path, typer.Argument(help="A float32 ONNX file made by export.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The int8 ONNX file to write.")],
    images: options.Images,
    annotations: options.Annotations = None,
    boxes: options.Boxes = None,
    box_threshold: options.BoxThreshold = None,
    nms: options.Nms = None,
    category: options.Categories = None,
    calibration_images: options.CalibrationImages = 64,
    held_out: options.HeldOut = 500,
    seed: options.SplitSeed = 0,
    target: Annotated[
        Target, typer.Option(help="The engine to quantize for. Each engine fuses operators in its own way.")
    ] = Target.ort,
    method: Annotated[
        Method, typer.Option(help="How ranges are computed from the calibration statistics.")
    ] = Method.mse,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN", help="A pattern of operators to leave in float, for example 'stage4.2.*'. Repeatable."
        ),
    ] = None,
    branch_fusion: Annotated[
        BranchFusion, typer.Option(help="The precision of the sums and resizes between branches.")
    ] = BranchFusion.int8,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Leave blocks in float until the metric changes by at most this, in points."),
    ] = None,
    sensitivity: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Write the accuracy cost of each block, as .json or .svg. Repeatable."),
    ] = None,
    speed: Annotated[
        bool | None,
        typer.Option(help="Measure how much slower blocks in float make the file. Default: if a search left some."),
    ] = None,
    reduce_range: Annotated[
        bool | None,
        typer.Option(help="Quantize weights to 7 bits, for x86 without VNNI. Default: what this processor needs."),
    ] = None,
    strict: options.Strict = False,
    calibration_cache: options.CalibrationCache = None,
    threads: options.Threads = None,
    report: options.Report = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Quantize a float32 ONNX file to int8, and judge it on other images.

    If a limit is exceeded, writes no file, names the blocks that cost most, and
    exits with 1. With --max-drop, blocks to leave in float are chosen on a
    validation set, and the result is judged on a separate test set.

    Example: hrnet-deploy quantize pose.onnx -o int8.onnx --images val --target ort
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.quantize import QuantizeRequest
    from hrnet_deploy.jobs.quantize import quantize as job
    from hrnet_deploy.results import sensitivity as tables
    from hrnet_deploy.workflow.split import Split

    detected = detector_boxes(boxes, box_threshold, nms)
    wanted = sensitivity or []
    tables.check_outputs(wanted, force)
    check_outputs(force, report)
    request = QuantizeRequest(
        model=model,
        output=output,
        split=Split(images, annotations, calibration_images, held_out, seed, strict, tuple(category or ()), detected),
        target=target.value,
        method=method.value,
        exclude=tuple(exclude or ()),
        branch_fusion=branch_fusion.value,
        max_drop=max_drop,
        reduce_range=reduce_range,
        calibration_cache=calibration_cache,
        sensitivity=bool(wanted),
        speed=speed,
        threads=threads,
        force=force,
    )
    with shown() as progress:
        result = job(request, progress)

    def write(whole: QuantizeResult) -> None:
        for path in wanted:
            tables.write(path, whole)

    finish(result, json, report, write)


@command(rich_help_panel=PREPARE)
def half(
    model: Annotated[Path, typer.Argument(help="An ONNX file made by export or quantize.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The float16 ONNX file to write.")],
    images: Annotated[
        Path | None, typer.Option(help="A folder of real images, on which to measure how large values become.")
    ] = None,
    strict: options.Strict = False,
    report: options.Report = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Convert float values to float16. Inputs and outputs stay float32.

    Operators whose values on the images do not fit float16 stay in float32, and
    are listed. If a limit is exceeded, writes no file and exits with 1.

    Example: hrnet-deploy half pose.onnx -o half.onnx --images val
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.half import HalfRequest
    from hrnet_deploy.jobs.half import half as job

    check_outputs(force, report)
    with shown() as progress:
        result = job(HalfRequest(model, output, images, force, strict), progress)
    finish(result, json, report)


@command(rich_help_panel=PREPARE)
def build(
    model: Annotated[Path, typer.Argument(help="An ONNX file made by export, quantize --target trt or half.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The plan to write, X.plan. Its manifest is written next to it.")
    ],
    engine: Annotated[BuildEngine, typer.Option(help="The engine to build for.")] = BuildEngine.trt,
    batch: Annotated[str | None, typer.Option(help="Bounds of an open batch, MIN:OPT:MAX. Default: 1:1:16.")] = None,
    size: Annotated[
        str | None, typer.Option(help="Bounds of an open size, HxW:HxW:HxW. Default: the input of the card.")
    ] = None,
    workspace: Annotated[
        int | None, typer.Option(help="The most memory that a kernel may take while it runs, in MB.")
    ] = None,
    level: Annotated[
        int, typer.Option(help="The optimization level of the builder: 0 builds fastest, 5 tries most.")
    ] = 3,
    aux_streams: Annotated[
        int | None,
        typer.Option("--aux-streams", help="Streams in addition to the first. Default: TensorRT's own choice."),
    ] = None,
    tf32: Annotated[bool, typer.Option("--tf32", help="Allow TF32 for float32 operators.")] = False,
    gpu: Annotated[
        str,
        typer.Option(
            "--gpu",
            metavar="LIST",
            help="For trt-rtx: the GPUs that the plan is for, any or some of sm75, sm86, sm89, sm120, sm121.",
        ),
    ] = "any",
    layers: Annotated[
        bool,
        typer.Option(
            "--layers", help="Show the kernels of each block, and compile an int8 file in fp16 too, to compare them."
        ),
    ] = False,
    report: options.Report = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Build a TensorRT plan from an ONNX file, with a manifest.

    The plan has the precision of the file, so build it from an int8 or float16
    file for int8 or float16. A plan of TensorRT runs only on this kind of GPU
    with this version of TensorRT, so keep the ONNX file. A plan of TensorRT for
    RTX (--engine trt-rtx) is built on any machine, without a GPU.

    Example: hrnet-deploy build int8.onnx --engine trt -o int8.plan --batch 1:8:32
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.graph.plan import BuildOptions
    from hrnet_deploy.jobs.build import BuildRequest
    from hrnet_deploy.jobs.build import build as job

    check_outputs(force, report)
    plan = BuildOptions(
        batch=parse_bounds(batch, parse_count, "--batch"),
        size=parse_bounds(size, parse_size, "--size"),
        workspace=None if workspace is None else workspace * 2**20,
        level=level,
        aux_streams=aux_streams,
        tf32=tf32,
        gpus=() if gpu == "any" else tuple(parse_list(gpu)),
    )
    with shown() as progress:
        result = job(BuildRequest(model, output, plan, force, engine.value, layers), progress)
    finish(result, json, report)
