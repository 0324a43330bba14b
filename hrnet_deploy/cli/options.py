"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Decoding(StrEnum):
    quarter_offset = "quarter_offset"
    dark = "dark"
    udp = "udp"
    face = "face"


class CropGeometry(StrEnum):
    standard = "standard"
    udp = "udp"
    face = "face"


Checkpoint = Annotated[
    str,
    typer.Argument(
        help="A .pth, .pt or .safetensors file, or a name that `hrnet-deploy models --checkpoints` lists, which is "
        "downloaded once."
    ),
]
WeightsKey = Annotated[
    str,
    typer.Option(
        help="Which weights, where a checkpoint holds several, such as state_dict_ema. Default: the plain ones."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write the result to this file, as JSON.")]
Report = Annotated[Path | None, typer.Option(help="Write the result to this file, as JSON.")]

Images = Annotated[
    Path,
    typer.Option(
        help="A folder of real images, whose annotations.json or labels/ is used if there is one, or a public data set "
        "as it comes from its site."
    ),
]
SomeImages = Annotated[
    Path | None,
    typer.Option(
        help="A folder of images, whose annotations.json or labels/ is used if there is one, or a public data set "
        "as it comes from its site."
    ),
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        help="A file of COCO annotations, a folder of label maps, or for classifiers a list of `path class` lines. It "
        "replaces those in the folder of images."
    ),
]
Split = Annotated[
    str,
    typer.Option(help="Which part of a public data set, such as val, test or train. Default: the one of its figures."),
]
Boxes = Annotated[
    Path | None,
    typer.Option(
        help="For pose and landmarks: the boxes of a detector, as a list of COCO detections. Default: the annotated "
        "boxes."
    ),
]
BoxThreshold = Annotated[
    float | None, typer.Option(help="With --boxes: leave out boxes with a lower score. Default: 0, as published.")
]
Nms = Annotated[
    float | None,
    typer.Option(
        help="With --boxes: of two people in one image that are more similar than this (OKS), keep the better one. "
        "Default: 0.9, as published."
    ),
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse images that cannot be read, in place of leaving them out.")
]
Categories = Annotated[
    list[str] | None,
    typer.Option(
        "--category",
        metavar="NAME",
        help="A category of the annotations to use, by name or number; for detectors and classifiers also "
        "CLASS=CATEGORY; for classifiers `number`, if numbers in the annotations are those of the network. Repeatable.",
    ),
]
Limit = Annotated[int | None, typer.Option(help="Use only this many images.")]
Seed = Annotated[
    int | None, typer.Option(help="With --limit: choose the images at random with this seed, not the first ones.")
]

CalibrationImages = Annotated[
    int, typer.Option(help="How many images to calibrate on, but at most half of all images.")
]
HeldOut = Annotated[
    int,
    typer.Option(help="How many other images to judge the result on. A search uses as many again for its choices."),
]
SplitSeed = Annotated[int, typer.Option(help="The seed of the random choice of images for each part.")]
CalibrationCache = Annotated[
    Path | None,
    typer.Option(help="Keep calibration statistics in this file and findings next to it, to resume from them."),
]

Engine = Annotated[str, typer.Option(help="The engine to run the file in.")]
Threads = Annotated[int | None, typer.Option(help="Number of threads. Default: all available ones.")]
ThreadCounts = Annotated[
    list[int] | None,
    typer.Option(metavar="NUMBER", help="Number of threads. Repeatable. Default: all available ones."),
]
Size = Annotated[str | None, typer.Option(help="The input as HEIGHTxWIDTH. Default: the input of the card.")]
FlipTest = Annotated[bool, typer.Option("--flip-test", help="Average with the result of the mirror image.")]
Decode = Annotated[
    Decoding | None,
    typer.Option(
        help="For pose and landmarks: how a position is read from a heatmap; face is for landmarks only. Default: "
        "what the file or the card says."
    ),
]
Geometry = Annotated[
    CropGeometry | None,
    typer.Option(
        help="For pose and landmarks: how a box becomes a crop; face is for landmarks only. Default: that of "
        "--decode, else what the file says."
    ),
]
Seconds = Annotated[float, typer.Option(help="Seconds of measured time for each row and region.")]
Upright = Annotated[
    Path | None,
    typer.Option(help="For detectors: a second file, exported with height and width swapped, for upright images."),
]
