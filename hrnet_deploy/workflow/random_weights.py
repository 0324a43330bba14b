"""The network of a card with random weights, as files to measure: float32, and int8 with ranges from noise.

They show how fast and how large a network is, but nothing about its accuracy. Results are labelled accordingly.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.files import temporary_folder
from hrnet_deploy.graph.calibrate import with_outputs
from hrnet_deploy.graph.metadata import Description, describe, save_model
from hrnet_deploy.graph.quantize import TARGETS, place, quantize
from hrnet_deploy.graph.ranges import Range
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.tasks.base import noise
from hrnet_deploy.workflow.network_export import ExportOptions, export_network

MOST_BYTES = 1 << 30  # of inner tensors that one run returns as outputs


def random_model(
    card: ModelCard, options: ExportOptions, progress: Progress = SILENT
) -> tuple[onnx.ModelProto, Description]:
    """The exported graph of a card's network with random weights (seed 0), and its description."""
    from hrnet_deploy.networks import build_network, random_weights

    network = build_network(card.architecture)
    random_weights(network)
    return export_network(network, card, options, {"checkpoint": "random weights, seed 0"}, progress)


def noise_ranges(model: onnx.ModelProto, card: ModelCard) -> dict[str, Range]:
    """The smallest and largest value, on one noise image, of every tensor whose range a placement may need.

    Each run returns only some of the tensors, so that a large input does not need memory for all of them at once.
    """
    names = list(dict.fromkeys(n for t in TARGETS.values() for n in place(model, t).ranged))
    inputs = noise(card, 1, 0)
    found: dict[str, Range] = {n: (float(v.min()), float(v.max())) for n, v in inputs.items()}
    with temporary_folder() as folder:
        path = folder / "extra_outputs.onnx"
        for some in _in_parts(model, [n for n in names if n not in found]):
            save_model(with_outputs(model, some), path)
            engine = open_engine("ort", Source(card, path))
            outputs = engine.run(inputs)
            found.update({n: (float(outputs[n].min()), float(outputs[n].max())) for n in some})
            engine.close()
    return found


def _in_parts(model: onnx.ModelProto, names: Sequence[str]) -> Iterator[list[str]]:
    """Groups of names whose tensors together take at most MOST_BYTES, as far as the graph states their sizes."""
    infos = [*model.graph.value_info, *model.graph.output]
    sizes = {v.name: 4 * int(np.prod([max(1, d.dim_value) for d in v.type.tensor_type.shape.dim])) for v in infos}
    part: list[str] = []
    taken = 0
    for name in names:
        if part and taken + sizes.get(name, 0) > MOST_BYTES:
            yield part
            part, taken = [], 0
        part.append(name)
        taken += sizes.get(name, 0)
    if part:
        yield part


def int8_file(
    model: onnx.ModelProto, description: Description, ranges: dict[str, Range], target: str, path: Path
) -> None:
    """Write the model quantized for a target (`ort`, `openvino`, `trt` or `trt-rtx`) to a path."""
    policy = TARGETS[target]
    made = quantize(model, policy, place(model, policy), ranges)
    describe(
        made, dataclasses.replace(description, precision="int8").with_step("quantize", target=target, ranges="noise")
    )
    save_model(made, path)
