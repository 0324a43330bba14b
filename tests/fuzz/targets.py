"""The readers: from a file to what the package makes of it, and commands with a file of each kind."""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzz import formats, mutate, seeds
from fuzz.workplace import Workplace
from hrnet_deploy import cards, checkpoints
from hrnet_deploy.errors import DeployError
from hrnet_deploy.graph import metadata
from hrnet_deploy.graph.calibrate import Statistics, without_outliers
from hrnet_deploy.graph.plan import is_plan, manifest_path, options_of, read_manifest, require_fit
from hrnet_deploy.graph.ranges import U8, ranges
from hrnet_deploy.results import codec, documents
from hrnet_deploy.results.render.markdown import Pictures, markdown
from hrnet_deploy.results.render.page import html_page
from hrnet_deploy.tasks import images
from hrnet_deploy.tasks.classes import Classes
from hrnet_deploy.tasks.dataset import Item
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.mpii import as_coco, read_release
from hrnet_deploy.tasks.segmentation.survey import Survey
from hrnet_deploy.workflow.findings import FindingsCache
from hrnet_deploy.workflow.stages import StageFolder

Read = Callable[[Path, Workplace], None]


@dataclass(frozen=True)
class Target:
    """A reader. `seeds` are valid files, `mutate` makes another one of a seed, and `read` reads a file with `suffix`.
    `each` is how many inputs the test of the project gives it, 0 where that needs a network that takes long to make.
    `seconds` is the most that one input may take."""

    seeds: Callable[[Workplace], seeds.Seeds]
    mutate: mutate.Mutate
    read: Read
    suffix: str
    each: int = 100
    seconds: float = 10


class Refused(DeployError):
    """A command said that it cannot use its input."""


def _checkpoint(path: Path, _: Workplace) -> None:
    checkpoints.load(path)


def _deeplabcut(path: Path, place: Workplace) -> None:
    path.rename(path.with_name("pytorch_config.yaml"))
    checkpoints.load(shutil.copy(place.snapshot, path.with_name("snapshot.pt")))


def _image(path: Path, _: Workplace) -> None:
    images.read_image(path)


def _card(path: Path, _: Workplace) -> None:
    found = cards.read_card(path)
    cards.ModelCard.from_dict(found.to_dict())
    str(found.architecture.title)


def _annotations(path: Path, place: Workplace) -> None:
    load_dataset(place.images, path).only([0])
    load_dataset(place.images, path, every_image=True).unjudged()


def _mpii(path: Path, _: Workplace) -> None:
    as_coco(read_release(path), path)


def _label_map(path: Path, _: Workplace) -> None:
    classes = Classes(tuple(f"class_{i}" for i in range(9)), tuple((20 * i, 0, 9) for i in range(9)))
    survey = Survey.of([Item(path, 1, labels=path)], classes)
    survey.check(classes)
    survey.reading(classes)


def _onnx(path: Path, _: Workplace) -> None:
    metadata.description_of(metadata.load_model(path), path)


def _manifest(path: Path, _: Workplace) -> None:
    plan = path.with_suffix("")
    assert is_plan(plan) and manifest_path(plan) == path
    plan.write_bytes(b"a plan")
    options_of(read_manifest(plan).options).arguments()
    metadata.read_description(plan)
    require_fit(plan, read_manifest(plan), "trt", "10.16.1", {"gpu": "NVIDIA H100", "compute_capability": "9.0"})


def _result(path: Path, _: Workplace) -> None:
    result = codec.read(path)
    codec.to_dict(result)
    made = documents.report([(path.name, result)], "", None)
    html_page(made)
    markdown(made, Pictures(None))


def _statistics(path: Path, _: Workplace) -> None:
    found = Statistics.load(path)
    found.digest  # noqa: B018  (computed when it is asked for)
    tensor = np.zeros(9, np.float32)
    if found.done:
        ranges(without_outliers(found, lambda _: [tensor] * len(found.names), lambda: []), "mse", U8)


def _findings(path: Path, _: Workplace) -> None:
    FindingsCache(path).get_or_compute({"a": 1}, lambda: 1)


def _stage(path: Path, _: Workplace) -> None:
    path.rename(path.with_name("cache.inputs.json"))
    (path.parent / "cache.json").write_bytes(b"")
    StageFolder(path.parent).discard_if_stale(path.parent / "cache.json", {"size": "1"})


def run(*arguments: object) -> None:
    """Run the command line in this process. Raises Refused where it refuses its input, and AssertionError for an exit
    code that no command has, a warning, or an error that is not one sentence."""
    from hrnet_deploy.cli import main

    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["hrnet-deploy", *map(str, arguments)]
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    finally:
        sys.argv = before
    said = err.getvalue()
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    if code not in (0, 1, 2, 3) or "Traceback" in said or (code in (2, 3) and len(errors) != 1) or "Warning:" in said:
        raise AssertionError(f"exit code {code}, and it said: {said[-600:]}")
    if code in (2, 3):
        raise Refused


def _command(*words: str) -> Read:
    """A command: FILE stands for the mutated file, IMAGES, OUT and `pose.onnx` for what is in the workplace."""

    def read(path: Path, place: Workplace) -> None:
        known: dict[str, object] = {
            "FILE": path,
            "FOLDER": path.parent,
            "IMAGES": place.images,
            "OUT": path.parent / "out",
        }
        for task in ("pose", "segmentation", "detection"):
            if f"{task}.onnx" in words:
                known[f"{task}.onnx"] = place.onnx(task)
            if f"{task}.pth" in words:
                known[f"{task}.pth"] = place.checkpoint(task)
        if "BASE" in words:
            base = place.folder / "base.json"
            if not base.exists():
                base.write_bytes(seeds.result_files(place)[0])
            known["BASE"] = base
        run(*(known.get(w, w.replace("OUT", str(path.parent / "out"))) for w in words))

    return read


def _scored_maps(path: Path, place: Workplace) -> None:
    path.rename(path.with_name("000000.png"))
    _command("eval", "segmentation.onnx", "--data", "IMAGES", "--annotations", "FOLDER", "--limit", "1")(path, place)


def _inspected_plan(path: Path, _: Workplace) -> None:
    path.with_suffix("").write_bytes(b"a plan")
    run("inspect", path.with_suffix(""))


_JSON, _YAML, _PNG = mutate.json_file, mutate.yaml_file, formats.picture
_EVAL = ("--data", "IMAGES", "--annotations", "FILE", "--threads", "1")
_PREDICT = ("-o", "OUT", "--threads", "1")
_ADOPT = _command("adopt", "FILE", "--card", "pose_hrnet_w32_256x192", "--size", "96x64", "-o", "OUT.onnx")
_EXPORT = _command("export", "pose.pth", "--card", "FILE", "-o", "OUT.onnx")
_BOXES = _command("predict", "pose.onnx", "IMAGES", "--boxes", "FILE", "--no-pictures", *_PREDICT)
TARGETS = {
    "annotations": Target(seeds.coco, _JSON, _annotations, ".json", 200),
    "boxes": Target(seeds.boxes, _JSON, _annotations, ".json", 150),
    "card": Target(seeds.cards, _YAML, _card, ".yaml", 80),
    "class_list": Target(seeds.class_lists, mutate.change_bytes, _annotations, ".txt", 150),
    "checkpoint": Target(seeds.checkpoints, formats.checkpoint, _checkpoint, ".pth", 20),
    "deeplabcut": Target(seeds.deeplabcut, _YAML, _deeplabcut, ".yaml", 20),
    "findings": Target(seeds.findings, _JSON, _findings, ".json", 30),
    "image": Target(seeds.images, _PNG, _image, ".png", 60),
    "label_map": Target(seeds.label_maps, _PNG, _label_map, ".png", 120),
    "manifest": Target(seeds.manifests, _JSON, _manifest, ".plan.json", 120),
    "mpii": Target(seeds.mpii_files, mutate.change_bytes, _mpii, ".mat", 200),
    "onnx": Target(seeds.onnx_files, formats.onnx_file, _onnx, ".onnx", 100),
    "results": Target(seeds.result_files, _JSON, _result, ".json", 80),
    "stage": Target(seeds.stages, _JSON, _stage, ".json", 30),
    "statistics": Target(seeds.statistics, formats.arrays, _statistics, ".npz", 100),
    "adopt": Target(seeds.foreign, formats.onnx_file, _ADOPT, ".onnx", 3, seconds=60),
    "compare": Target(seeds.result_files, _JSON, _command("compare", "BASE", "FILE"), ".json", 10),
    "eval_detection": Target(seeds.coco, _JSON, _command("eval", "detection.onnx", *_EVAL), ".json", 0),
    "eval_pose": Target(seeds.coco, _JSON, _command("eval", "pose.onnx", *_EVAL), ".json", 10),
    "eval_segmentation": Target(seeds.label_maps, _PNG, _scored_maps, ".png", 0),
    "export_card": Target(seeds.pose_cards, _YAML, _EXPORT, ".yaml", 1, seconds=120),  # what is accepted is exported
    "inspect_checkpoint": Target(seeds.checkpoints, formats.checkpoint, _command("inspect", "FILE"), ".pth", 5),
    "inspect_onnx": Target(seeds.onnx_files, formats.onnx_file, _command("inspect", "FILE"), ".onnx", 10),
    "inspect_plan": Target(seeds.manifests, _JSON, _inspected_plan, ".plan.json", 10),
    "predict_boxes": Target(seeds.boxes, _JSON, _BOXES, ".json", 8),
    "predict_image": Target(seeds.images, _PNG, _command("predict", "pose.onnx", "FILE", *_PREDICT), ".png", 8),
    "predict_onnx": Target(
        seeds.pose_onnx,
        formats.onnx_file,
        _command("predict", "FILE", "IMAGES", "--no-pictures", *_PREDICT),
        ".onnx",
        8,
    ),
    "report": Target(seeds.result_files, _JSON, _command("report", "FILE", "-o", "OUT.html"), ".json", 8),
}
