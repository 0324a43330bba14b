"""Runs a model file on images or a video, and writes results as JSON and as pictures."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnet_deploy.engines.base import run_samples
from hrnet_deploy.errors import BadInput, Damaged
from hrnet_deploy.files import atomic_write, require_file
from hrnet_deploy.graph.metadata import file_digest
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.base import Skipped
from hrnet_deploy.results.prediction import PredictResult
from hrnet_deploy.tasks.base import Record, Task
from hrnet_deploy.tasks.channels import as_picture, checked_image, of_picture, read_channels
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.tasks.detections import Boxes
from hrnet_deploy.tasks.images import (
    VIDEO_SUFFIXES,
    Image,
    Video,
    VideoWriter,
    write_image,
)
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import require_some, skipped_file
from hrnet_deploy.workflow.identity import software
from hrnet_deploy.workflow.open_model import ModelUse, open_model
from hrnet_deploy.workflow.partial import PartialFolder

RESULTS = "results.json"
LABEL_MAPS = "label_maps"  # a folder next to the results, if the task gives label maps


class Predictor:
    """A model file as a function from images to predictions, for programs: `Predictor("pose.onnx")(image)`."""

    def __init__(
        self,
        model: str | Path,
        engine: str = "ort",
        threads: int | None = None,
        flip_test: bool = False,
        upright: str | Path | None = None,
        decode: str = "",
        geometry: str = "",
    ) -> None:
        """Open a file. Raises BadInput if it cannot be read, and Unavailable if the engine cannot run here.

        Args:
            model: the ONNX file or plan.
            engine: the engine, with its options.
            threads: number of threads; all available ones unless given.
            flip_test: whether results are averaged with those of the mirror image.
            upright: a second file of a detector for upright images, see `ModelUse`.
            decode, geometry: of a pose network, see `ModelUse`.
        """
        other = None if upright is None else Path(upright)
        made = open_model(ModelUse(Path(model), engine, threads, flip_test, other, (), decode, geometry))
        self.description = made.description
        self.card, self.task, self.engine = made.description.card, made.task, made.engine
        if self.task.unusable_reason:
            raise BadInput(f"{model} cannot predict: {self.task.unusable_reason} — run it with a program of your own")

    def __call__(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> list[Any]:
        """The predictions for one image, of the type of the task.

        Args:
            image: (H, W, 3) uint8, RGB; for networks of other channels (H, W, C), see `tasks.channels`. An array of
                another type or shape raises BadInput.
            boxes: (x, y, w, h) each, in pixels of the image; the whole image unless given.
        """
        known = None if boxes is None else tuple({"bbox": list(b), "score": 1.0} for b in boxes)
        return self.predict_item(checked_image(image, self.card.input), Item(Path(), 0, known))

    def predict_item(self, image: Image, item: Item) -> list[Any]:
        """The predictions for an image of a data set; `item` holds its annotations."""
        samples = self.task.samples(image, item)
        if not samples:
            return []
        return self.task.decode(run_samples(self.engine, [s.feed for s in samples]), samples)

    def draw(self, image: Image, predictions: Sequence[Any]) -> Image:
        """The image as a picture, (H, W, 3) uint8, with predictions drawn on it."""
        return self.task.draw(as_picture(checked_image(image, self.card.input)), predictions)


@dataclass(frozen=True)
class PredictRequest:
    """What to run on which images.

    Attributes:
        use: the file, and how to run it.
        inputs: images, folders of images, or one video.
        output: the folder to write.
        boxes: COCO annotations or the boxes of a detector, which say where people are; the whole image unless given.
        pictures: whether results are drawn.
        force: whether an existing folder is written into.
        categories: which categories of the boxes are used, as `--category` says.
        strict: whether an image that cannot be read is an error. Otherwise it is left out and listed.
    """

    use: ModelUse
    inputs: Sequence[Path]
    output: Path
    boxes: Boxes | None = None
    pictures: bool = True
    force: bool = False
    strict: bool = False
    categories: Sequence[str] = ()


def predict(request: PredictRequest, progress: Progress = SILENT) -> PredictResult:
    """Run a model over images, folders of images, or one video, and write the folder `output`.

    Results are collected in the folder `OUTPUT.part` first. If the command is interrupted, the same command continues
    from it (except for a video). Raises BadInput if no input can be read or the folder exists.
    """
    output, use = request.output, request.use
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output} is a file — name a folder")
    if output.exists() and not request.force:
        raise BadInput(f"{output} exists already — pass --force to replace what is in it, or name another folder")
    if not output.absolute().parent.is_dir():
        raise BadInput(f"the folder {output.parent} does not exist — create it first")
    if not os.access(output.absolute().parent, os.W_OK):
        raise BadInput(f"the folder {output.absolute().parent} cannot be written to — name another output")
    progress.stage("opening the model")
    predictor = Predictor(use.model, use.engine, use.threads, use.flip_test, use.upright, use.decode, use.geometry)
    videos = [p for p in request.inputs if p.suffix.lower() in VIDEO_SUFFIXES]
    if videos and (len(request.inputs) > 1 or request.boxes is not None):
        raise BadInput("give a video alone and without boxes — the whole frame is used as the box")
    dataset = None if videos else _dataset(request.inputs, request.boxes).choosing(request.categories)
    boxes = {} if dataset is None else predictor.task.boxes_read(dataset)
    with PartialFolder(output.absolute(), _identity(request, dataset)) as part:
        if dataset is None:
            found = _video(predictor, videos[0], part.files, request.pictures, progress)
        else:
            found = _images(predictor, dataset, part, request, progress)
        with atomic_write(part.files / RESULTS) as file:
            file.write_text(json.dumps(found.records) + "\n", encoding="utf-8")
        part.publish(RESULTS)
    return PredictResult(
        folder=str(output),
        model=str(use.model),
        card=predictor.card.name,
        images=found.images,
        results=len(found.records),
        pictures=[str(output / n) for n in found.pictures],
        engine=use.engine,
        engine_info=predictor.engine.info,
        skipped=found.skipped,
        continued=part.continued,
        boxes=boxes,
    )


@dataclass
class _Found:
    """What was predicted: the number of images, the entries of the results, the names of the pictures, and the images
    that cannot be read."""

    images: int = 0
    records: list[Record] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def _identity(request: PredictRequest, dataset: Dataset | None) -> dict[str, Any]:
    """What all results depend on besides the image: if it changes, nothing of an interrupted command is used."""
    use = dataclasses.asdict(request.use)
    files = [file_digest(p) for p in (request.use.model, request.use.upright) if p is not None]
    boxes = {} if dataset is None else {"from": dataset.boxes_from, **dataset.facts}
    return {
        "use": use,
        "files": files,
        "boxes": boxes,
        "categories": list(request.categories),
        "pictures": request.pictures,
        "software": software(),
    }


def _dataset(inputs: Sequence[Path], boxes: Boxes | None) -> Dataset:
    """The images with their annotations: a folder with its own, or single files with boxes or without."""
    if len(inputs) == 1 and inputs[0].is_dir():
        if boxes is None:
            return load_dataset(inputs[0], every_image=True)
        return load_dataset(inputs[0], boxes.file, every_image=True).within(boxes)
    files: list[Path] = []
    for path in inputs:
        if not path.is_dir():
            require_file(path)
        files += [i.path for i in load_dataset(path, every_image=True).items] if path.is_dir() else [path]
    if boxes is None:
        return Dataset(tuple(Item(p, i) for i, p in enumerate(files, start=1)))
    folders = {p.parent for p in files}
    if len(folders) > 1:
        raise BadInput("--boxes needs all images in one folder — give the folder")
    known = {i.path.name: i for i in load_dataset(folders.pop(), boxes.file).within(boxes).items}
    if unknown := [p.name for p in files if p.name not in known]:
        raise BadInput(f"{boxes.file} has nothing about {', '.join(unknown[:3])} — check that they belong together")
    return Dataset(tuple(known[p.name] for p in files))


def _images(
    predictor: Predictor, dataset: Dataset, part: PartialFolder, request: PredictRequest, progress: Progress
) -> _Found:
    """Predict every image that can be read and that no interrupted command has predicted."""
    progress.stage("predicting", len(dataset))
    found = _Found()
    for item, name in zip(dataset.items, _names(dataset), strict=True):
        progress.advance()
        state = item.path.stat() if item.path.exists() else None
        key = f"{name}: {item.path}, {state and (state.st_size, state.st_mtime_ns)}, {item.image_id}"
        records = part.kept(key)
        if records is None:
            try:
                # boxes are in pixels of the stored image; without boxes, a photograph is turned as its EXIF data says
                image = read_channels(item.path, predictor.card.input, upright=item.annotations is None)
            except Damaged as error:
                if request.strict:
                    raise
                found.skipped.append(skipped_file(item.path, str(error)))
                continue
            predictions = predictor.predict_item(image, item)
            records = _records(predictor.task, predictions, part.files, name)
            records = [{"file_name": item.file_name, **r} for r in records]
            files = sorted({r["label_map"] for r in records if "label_map" in r})
            if request.pictures:
                write_image(part.files / name, predictor.draw(image, predictions))
                files.append(name)
            part.keep(key, records, files)
        found.images += 1
        found.records += records
        found.pictures += [name] if request.pictures else []
    require_some(found.images, found.skipped)
    return found


def _names(dataset: Dataset) -> list[str]:
    """The name of each image's picture and label map; a name that two images share begins with the number of the second
    one."""
    names: dict[str, None] = {}
    for item in dataset.items:
        name = item.path.with_suffix(".png").name
        names[f"{item.image_id}_{name}" if name in names else name] = None
    return list(names)


def _records(task: Task, found: Sequence[Any], folder: Path, name: str) -> list[Record]:
    """The entries of one image. Its label map, if it has one, is written under `name`."""
    records, maps = task.records(found), task.label_maps(found)
    if not maps:
        return records
    (folder / LABEL_MAPS).mkdir(exist_ok=True)
    for labels in maps:
        write_image(folder / LABEL_MAPS / name, labels)
    return [{**r, "label_map": f"{LABEL_MAPS}/{name}"} for r in records]


def _video(predictor: Predictor, path: Path, folder: Path, pictures: bool, progress: Progress) -> _Found:
    """The same as `_images` for the frames of a video. The pictures become one video."""
    video = Video(path)
    progress.stage("predicting frames", video.count)
    name = path.with_suffix(".mp4").name
    writer = VideoWriter(folder / name, video.frames_per_second)
    found = _Found(pictures=[name] if pictures else [])
    for count, picture in enumerate(_frames(video, path), start=1):
        frame = of_picture(picture, predictor.card.input)
        predictions = predictor.predict_item(frame, Item(path, count - 1))
        found.records += _records(predictor.task, predictions, folder, f"{path.stem}_{count:06d}.png")
        if pictures:
            writer.write(predictor.draw(frame, predictions))
        found.images = count
        progress.advance()
    writer.close()
    return found


def _frames(video: Video, path: Path) -> Iterator[Image]:
    empty = True
    for frame in video:
        empty = False
        yield frame
    if empty:
        raise BadInput(f"{path} has no frame that this machine can decode — convert it to MP4 (H.264)")
