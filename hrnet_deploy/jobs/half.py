"""A float32 (or int8) ONNX file to one whose float values are float16."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source, run_rows
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, sha256
from hrnet_deploy.graph.calibrate import with_outputs
from hrnet_deploy.graph.fp16 import convertible, to_fp16, too_large
from hrnet_deploy.graph.metadata import describe, description_of, load_model, save_model
from hrnet_deploy.parity import budget_for, compare_on_images, judge
from hrnet_deploy.results.figures import Check, TaskFigures, all_passed
from hrnet_deploy.tasks.base import dataset_samples, task_of
from hrnet_deploy.tasks.dataset import load_dataset
from hrnet_deploy.tasks.samples import sample_images

Progress = Callable[[int], Callable[[], None]]
IMAGES = 64


@dataclass(frozen=True)
class Halved:
    """What was made: `kept` operators stayed in float32, because of tensors (`large`) that float16 cannot hold."""

    path: Path
    card: str
    precision: str
    kept: Sequence[str]
    large: Sequence[tuple[str, float]]  # tensor, its largest magnitude on the images
    figures: TaskFigures
    checks: Sequence[Check]

    @property
    def passed(self) -> bool:
        return all_passed(self.checks)

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        return {
            "schema": 1,
            "kind": "half",
            "passed": self.passed,
            **values,
            "path": str(self.path) if self.passed else None,
        }


def half(
    model_file: Path,
    output: Path,
    images: Path | None = None,
    force: bool = False,
    progress: Progress = lambda _: lambda: None,
) -> Halved:
    """Look at what values occur on images, convert, compare; write what passes."""
    check_output(output, force)
    model = load_model(model_file)
    description = description_of(model, model_file)
    if description.contract.embedded:
        raise BadInput(f"{model_file} decodes its own results (--embed) — halve the plain export")
    if description.precision == "fp16" or description.step("half"):
        raise BadInput(f"{model_file} is float16 already — halve the file it was made from")
    dataset = load_dataset(images, limit=IMAGES) if images else sample_images()
    task = task_of(description.card)
    names = convertible(model)
    peaks = np.zeros(len(names))
    with tempfile.TemporaryDirectory() as folder:
        tapped, candidate = Path(folder, "tapped.onnx"), Path(folder, "half.onnx")
        save_model(with_outputs(model, names), tapped)
        engine = open_engine("ort", Source(description.card, tapped))
        tick = progress(len(dataset))
        for _, _, samples in dataset_samples(task, dataset):
            for sample in samples:
                found = run_rows(engine, sample.feed)
                peaks = np.maximum(peaks, [np.abs(found[n]).max() for n in names])
            tick()
        engine.close()
        large = too_large(dict(zip(names, map(float, peaks), strict=True)))
        made, kept = to_fp16(model, large)
        precision = "fp16" if description.precision == "fp32" else description.precision
        save_model(made, candidate)
        reference = open_engine("ort", Source(description.card, model_file))
        figures = compare_on_images(
            reference,
            task,
            open_engine("ort", Source(description.card, candidate)),
            task,
            dataset,
            progress(len(dataset)),
        )
        checks = judge(budget_for(precision, task), [], figures)
    provenance = {**description.provenance, "parent": sha256(model_file)}
    new = dataclasses.replace(description, precision=precision, provenance=provenance).with_step("half", kept=kept)
    describe(made, new.with_step("verify", against="parent", on=["images"], passed=all_passed(checks)))
    if all_passed(checks):
        with atomic_write(output) as part:
            save_model(made, part)
    return Halved(
        output,
        description.card.name,
        precision,
        kept,
        [(n, float(peaks[names.index(n)])) for n in large],
        figures,
        checks,
    )
