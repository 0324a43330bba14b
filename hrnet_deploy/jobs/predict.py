"""Images or a video in, results as JSON and pictures out, from the ONNX file alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrnet_deploy.engines import parse
from hrnet_deploy.engines.base import run_samples
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import EngineInfo
from hrnet_deploy.tasks.base import Task
from hrnet_deploy.tasks.dataset import Dataset, Item, load_dataset
from hrnet_deploy.tasks.images import VIDEO_SUFFIXES, Image, Video, VideoWriter, read_image, write_image
from hrnet_deploy.workflow.open_model import ModelUse, open_model

RESULTS = "results.json"
LABEL_MAPS = "label_maps"  # a folder beside the results, where results are pictures


@dataclass(frozen=True)
class Predicted:
    """What was written: `folder`/results.json, a label map an image where the task gives some, and a picture an image (or
    one video)."""

    folder: Path
    images: int
    results: int
    pictures: Sequence[Path]
    engine: str
    info: EngineInfo


class Predictor:
    """`Predictor("pose.onnx")(image)` -> predictions: the whole of it for a program of one's own.

    image: (H, W, 3) uint8 RGB. boxes: (x, y, w, h) each in pixels; the whole image where none are given. upright: see `ModelUse`.
    """

    def __init__(
        self,
        model: str | Path,
        engine: str = "ort",
        threads: int | None = None,
        flip_test: bool = False,
        upright: str | Path | None = None,
    ) -> None:
        made = open_model(ModelUse(Path(model), engine, threads, flip_test, None if upright is None else Path(upright)))
        self.card, self.task, self.engine = made.description.card, made.task, made.engine

    def __call__(self, image: Image, boxes: Sequence[Sequence[float]] | None = None) -> list[Any]:
        known = None if boxes is None else tuple({"bbox": list(b), "score": 1.0} for b in boxes)
        return self.on(image, Item(Path(), 0, known))

    def on(self, image: Image, item: Item) -> list[Any]:
        samples = self.task.samples(image, item)
        if not samples:
            return []
        return self.task.decode(run_samples(self.engine, [s.feed for s in samples]), samples)

    def draw(self, image: Image, predictions: Sequence[Any]) -> Image:
        return self.task.draw(image, predictions)


def predict(
    model: Path,
    inputs: Sequence[Path],
    output: Path,
    boxes: Path | None = None,
    engine: str = "ort",
    threads: int | None = None,
    flip_test: bool = False,
    upright: Path | None = None,
    pictures: bool = True,
    force: bool = False,
    progress: Callable[[int], Callable[[], None]] | None = None,
) -> Predicted:
    """Run a model over images, folders of images, or one video, into the folder `output`.

    Everything is written to a folder beside it first, so an interrupted run leaves nothing under `output`.
    """
    parse(engine)
    if output.exists() and not force:
        raise BadInput(f"{output} exists already — pass --force to replace what is in it, or name another folder")
    if output.exists() and not output.is_dir():
        raise BadInput(f"{output} is a file — name a folder")
    if not output.absolute().parent.is_dir():
        raise BadInput(f"the folder {output.parent} does not exist — create it first")
    predictor = Predictor(model, engine, threads, flip_test, upright)
    videos = [p for p in inputs if p.suffix.lower() in VIDEO_SUFFIXES]
    if videos and (len(inputs) > 1 or boxes is not None):
        raise BadInput("a video goes alone and without boxes — each frame is taken as one box")
    part = Path(tempfile.mkdtemp(prefix=f".{output.name}.", suffix=".part", dir=output.absolute().parent))
    try:
        part.chmod(0o755)
        if videos:
            count, records, names = _video(predictor, videos[0], part, pictures, progress)
        else:
            count, records, names = _images(predictor, _dataset(inputs, boxes), part, pictures, progress)
        (part / RESULTS).write_text(json.dumps(records) + "\n")
        _publish(part, output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Predicted(output, count, len(records), [output / n for n in names], engine, predictor.engine.info)


def _dataset(inputs: Sequence[Path], boxes: Path | None) -> Dataset:
    """A folder with its annotations, or single files; boxes go with one folder."""
    if len(inputs) == 1 and inputs[0].is_dir():
        return load_dataset(inputs[0], boxes)
    files: list[Path] = []
    for path in inputs:
        files += [i.path for i in load_dataset(path).items] if path.is_dir() else [path]
    if boxes is None:
        return Dataset(tuple(Item(p, i) for i, p in enumerate(files, start=1)))
    folders = {p.parent for p in files}
    if len(folders) > 1:
        raise BadInput("--boxes goes with images of one folder — give the folder")
    known = {i.path.name: i for i in load_dataset(folders.pop(), boxes).items}
    if unknown := [p.name for p in files if p.name not in known]:
        raise BadInput(f"{boxes} says nothing of {', '.join(unknown[:3])} — check that they belong together")
    return Dataset(tuple(known[p.name] for p in files))


def _images(
    predictor: Predictor,
    dataset: Dataset,
    folder: Path,
    pictures: bool,
    progress: Callable[[int], Callable[[], None]] | None,
) -> tuple[int, list[dict[str, Any]], list[str]]:
    tick = progress(len(dataset)) if progress else lambda: None
    records: list[dict[str, Any]] = []
    names: list[str] = []
    for item in dataset.items:
        # boxes belong to the pixels as stored; without any, a photograph is turned the way people see it
        image = read_image(item.path, upright=item.annotations is None)
        found = predictor.on(image, item)
        name = item.path.with_suffix(".png").name
        if name in names:
            name = f"{item.image_id}_{name}"
        names.append(name)
        records += [{"file_name": item.path.name, **r} for r in _records(predictor.task, found, folder, name)]
        if pictures:
            write_image(folder / name, predictor.draw(image, found))
        tick()
    return len(dataset), records, names if pictures else []


def _records(task: Task, found: Sequence[Any], folder: Path, name: str) -> list[dict[str, Any]]:
    """The entries of one image; its label map, where it has one, is written under that name."""
    records, maps = task.records(found), task.label_maps(found)
    if not maps:
        return records
    (folder / LABEL_MAPS).mkdir(exist_ok=True)
    for labels in maps:
        write_image(folder / LABEL_MAPS / name, labels)
    return [{**r, "label_map": f"{LABEL_MAPS}/{name}"} for r in records]


def _video(
    predictor: Predictor, path: Path, folder: Path, pictures: bool, progress: Callable[[int], Callable[[], None]] | None
) -> tuple[int, list[dict[str, Any]], list[str]]:
    video = Video(path)
    tick = progress(video.count) if progress else lambda: None
    name = path.with_suffix(".mp4").name
    writer = VideoWriter(folder / name, video.frames_per_second)
    records: list[dict[str, Any]] = []
    count = 0
    for count, frame in enumerate(_frames(video, path), start=1):
        found = predictor.on(frame, Item(path, count - 1))
        records += _records(predictor.task, found, folder, f"{path.stem}_{count:06d}.png")
        if pictures:
            writer.write(predictor.draw(frame, found))
        tick()
    writer.close()
    return count, records, [name] if pictures else []


def _frames(video: Video, path: Path) -> Iterator[Image]:
    empty = True
    for frame in video:
        empty = False
        yield frame
    if empty:
        raise BadInput(f"{path} has no frame this machine can decode — convert it to MP4 (H.264)")


def _publish(part: Path, output: Path) -> None:
    """Whole results appear at once. A folder that was there keeps its other files, and gets the results last: where
    they are, the pictures are."""
    if not output.exists():
        part.replace(output)
        return
    for file in sorted((f for f in part.rglob("*") if f.is_file()), key=lambda f: f.name == RESULTS):
        place = output / file.relative_to(part)
        place.parent.mkdir(exist_ok=True)
        file.replace(place)
