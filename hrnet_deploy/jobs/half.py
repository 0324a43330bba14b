"""Converts the float values of a float32 or int8 ONNX file to float16."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source, run_rows
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, temporary_folder
from hrnet_deploy.graph.calibrate import with_outputs
from hrnet_deploy.graph.fp16 import convertible, to_fp16, too_large
from hrnet_deploy.graph.metadata import Description, describe, description_of, file_digest, load_model, save_model
from hrnet_deploy.parity import budget_for, compare_on_images, judge
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.results.figures import all_passed
from hrnet_deploy.results.float16 import HalfResult
from hrnet_deploy.tasks.base import Task, dataset_samples, task_of
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.loading import load_dataset
from hrnet_deploy.tasks.readable import readable
from hrnet_deploy.tasks.samples import sample_images
from hrnet_deploy.workflow.arguments import ONNX, require_suffix

IMAGES = 64  # the most images that are used


@dataclass(frozen=True)
class HalfRequest:
    """What to convert: the file, the file to write, a folder of images (the package's own samples unless given),
    whether an existing file is replaced, and whether an image that cannot be read is an error, not left out and
    listed."""

    model: Path
    output: Path
    images: Path | None = None
    force: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        require_suffix(self.output, ONNX, "a float16 file")


def half(request: HalfRequest, progress: Progress = SILENT) -> HalfResult:
    """Convert float values to float16 where they fit, and compare. The file is written only if it passes.

    Tensors with values on the images that do not fit float16 stay in float32. Raises BadInput if the file is already
    float16 or has its decoding embedded.
    """
    check_output(request.output, request.force)
    model = load_model(request.model)
    description = description_of(model, request.model)
    if description.input_format.embedded:
        raise BadInput(f"{request.model} decodes its own results (--embed) — convert the plain export")
    if description.precision == "fp16" or description.step("half"):
        raise BadInput(f"{request.model} is float16 already — convert the file it was made from")
    dataset = images_for(request.images, request.strict)
    task = task_of(description.card)
    with temporary_folder() as folder:
        peaks = _peaks(model, description, task, dataset, folder / "extra_outputs.onnx", progress)
        large = too_large(peaks)
        made, kept = to_fp16(model, large)
        precision = "fp16" if description.precision == "fp32" else description.precision
        candidate = folder / "half.onnx"
        save_model(made, candidate)
        progress.stage("comparing on images", len(dataset))
        reference = open_engine("ort", Source(description.card, request.model))
        engine = open_engine("ort", Source(description.card, candidate))
        figures = compare_on_images(reference, task, engine, task, dataset, progress)
    checks = judge(budget_for(precision, task), [], figures)
    provenance = {**description.provenance, "parent": file_digest(request.model)}
    new = dataclasses.replace(description, precision=precision, provenance=provenance).with_step("half", kept=kept)
    describe(made, new.with_step("verify", against="parent", on=["images"], passed=all_passed(checks)))
    result = HalfResult(
        path=None,
        card=description.card.name,
        precision=precision,
        kept=kept,
        large=[(n, peaks[n]) for n in large],
        figures=figures,
        checks=checks,
        skipped=dataset.skipped,
    )
    if not result.passed:
        return result
    with atomic_write(request.output) as part:
        save_model(made, part)
    return dataclasses.replace(result, path=str(request.output), size=request.output.stat().st_size)


def images_for(folder: Path | None, strict: bool = False) -> Dataset:
    """The images that a conversion uses: the first of a folder that can be read, or the package's own samples. Raises
    BadInput if none can be read, or with `strict` if one cannot."""
    return readable(load_dataset(folder, limit=IMAGES), strict) if folder else sample_images()


def _peaks(
    model: onnx.ModelProto, description: Description, task: Task, dataset: Dataset, path: Path, progress: Progress
) -> dict[str, float]:
    """The largest magnitude of every float tensor on the images. `path` is a file for the graph that outputs them."""
    names: Sequence[str] = convertible(model)
    peaks = np.zeros(len(names))
    save_model(with_outputs(model, names), path)
    engine = open_engine("ort", Source(description.card, path))
    progress.stage("looking for large values", len(dataset))
    for _, _, samples in dataset_samples(task, dataset):
        for sample in samples:
            found = run_rows(engine, sample.feed)
            peaks = np.maximum(peaks, [np.abs(found[n]).max() for n in names])
        progress.advance()
    engine.close()
    return dict(zip(names, map(float, peaks), strict=True))
