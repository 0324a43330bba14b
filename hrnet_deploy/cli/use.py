"""predict and eval: commands that run a file on images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import USE, command
from hrnet_deploy.cli.output import check_outputs, finish
from hrnet_deploy.cli.parsing import detector_boxes, parse_factors


@command(rich_help_panel=USE)
def predict(
    model: Annotated[Path, typer.Argument(help="The ONNX file, or a plan.")],
    inputs: Annotated[list[Path], typer.Argument(help="Images, folders of images, or one video.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder for results.json, label maps and pictures.")
    ],
    boxes: Annotated[
        Path | None,
        typer.Option(help="COCO annotations or detections with the boxes of people. Default: the whole image."),
    ] = None,
    box_threshold: options.BoxThreshold = None,
    nms: options.Nms = None,
    category: options.Categories = None,
    engine: options.Engine = "ort",
    threads: options.Threads = None,
    flip_test: options.FlipTest = False,
    upright: options.Upright = None,
    decode: options.Decode = None,
    geometry: options.Geometry = None,
    pictures: Annotated[bool, typer.Option(help="Draw the results.")] = True,
    strict: options.Strict = False,
    report: options.Report = None,
    force: Annotated[bool, typer.Option("--force", help="Write into an existing folder.")] = False,
    json: options.Json = False,
) -> None:
    """Run a file on images or a video. Needs no torch.

    Writes results in COCO's format and pictures of them.

    Example: hrnet-deploy predict pose.onnx photos/ --boxes people.json -o found
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.predict import PredictRequest
    from hrnet_deploy.jobs.predict import predict as job
    from hrnet_deploy.workflow.open_model import ModelUse

    detected = detector_boxes(boxes, box_threshold, nms)
    check_outputs(force, report)
    use = ModelUse(model, engine, threads, flip_test, upright, (), decode or "", geometry or "")
    with shown() as progress:
        result = job(
            PredictRequest(use, inputs, output, detected, pictures, force, strict, tuple(category or ())), progress
        )
    finish(result, json, report)


@command("eval", rich_help_panel=USE)
def evaluate(
    model: Annotated[Path, typer.Argument(help="The ONNX file, or a plan.")],
    data: Annotated[
        Path,
        typer.Option(
            help="A folder of images, whose annotations.json or labels/ is used if there is one, or a public data set "
            "as it comes from its site."
        ),
    ],
    split: options.Split = "",
    annotations: options.Annotations = None,
    boxes: options.Boxes = None,
    box_threshold: options.BoxThreshold = None,
    nms: options.Nms = None,
    category: options.Categories = None,
    limit: options.Limit = None,
    seed: options.Seed = None,
    engine: options.Engine = "ort",
    threads: options.Threads = None,
    flip_test: options.FlipTest = False,
    upright: options.Upright = None,
    decode: options.Decode = None,
    geometry: options.Geometry = None,
    scales: Annotated[
        str, typer.Option(help="For segmentation: average over these factors of the input size, for example 0.5,1,1.5.")
    ] = "",
    strict: options.Strict = False,
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Compute AP, mIoU, box AP, NME or top-1 on annotated images. Needs no torch.

    Also shows what the figure depends on besides the weights, and the published
    figure of the same weights if it is known.

    Example: hrnet-deploy eval pose.onnx --data val2017 --annotations people.json --boxes detections.json
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.evaluate import EvalRequest
    from hrnet_deploy.jobs.evaluate import evaluate as job
    from hrnet_deploy.workflow.open_model import ModelUse

    detected = detector_boxes(boxes, box_threshold, nms)
    check_outputs(force, output)
    use = ModelUse(model, engine, threads, flip_test, upright, parse_factors(scales), decode or "", geometry or "")
    request = EvalRequest(use, data, annotations, limit, seed, strict, tuple(category or ()), detected, split)
    with shown() as progress:
        result = job(request, progress)
    finish(result, json, output)
