"""A PyTorch network to an ONNX graph.

torch's dynamo exporter by default; `torchscript` is the way out where that one goes wrong (it has corrupted
convolutional networks before: pytorch 166797, 168224). Either is only believed after parity has been measured.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import onnx

from hrnet_deploy.architecture import INPUT, Architecture
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.graph.names import rename_by_module, strip_traces
from hrnet_deploy.graph.operators import translations
from hrnet_deploy.tasks.base import noise

if TYPE_CHECKING:
    from torch import nn

OPSET = 20  # the first with fp16 scales in every operator that later passes use is 19; TensorRT 10 reads 20
AXES = ("batch", "height", "width")
MAX_BATCH = 256
Exporter = Literal["dynamo", "torchscript"]


def export_graph(
    network: nn.Module,
    card: ModelCard,
    batch: int = 1,
    dynamic: Collection[str] = (),
    opset: int = OPSET,
    exporter: Exporter = "dynamo",
) -> onnx.ModelProto:
    """The graph of a network: `image` (N, 3, H, W) and what else it asks for, outputs as the architecture names them.

    `dynamic` names the axes (batch, height, width) that stay open; the others are fixed to `batch` and to the
    card's size. Raises BadInput where the exporter refuses the arguments.
    """
    torch = need("torch", "export")
    need("onnxscript", "export")
    if unknown := set(dynamic) - set(AXES):
        raise BadInput(f"cannot make {', '.join(sorted(unknown))} dynamic — choose among {', '.join(AXES)}")
    inputs, outputs = list(card.architecture.inputs), list(card.architecture.outputs)
    if dynamic and card.architecture.static_reason:
        raise BadInput(
            f"{card.architecture.title} takes one size of input and batch, because {card.architecture.static_reason} — leave --dynamic "
            "out, and export one file per size"
        )
    # the dynamo exporter takes an axis of size 1 for a constant, so an open batch is traced with 2
    feed = noise(card, 2 if "batch" in dynamic else batch, seed=0)
    sample = tuple(torch.from_numpy(feed[i]) for i in inputs)
    with tempfile.TemporaryDirectory() as folder, _quiet(), torch.no_grad():
        path = Path(folder, "graph.onnx")
        common: dict[str, Any] = {"input_names": inputs, "output_names": outputs, "opset_version": opset}
        try:
            if exporter == "dynamo":
                shapes = (_dimensions(card.architecture, dynamic),) if dynamic else None
                common |= {"dynamic_shapes": shapes, "custom_translation_table": translations()}
                torch.onnx.export(network, sample, path, dynamo=True, external_data=False, verbose=False, **common)
            else:
                axes = {name: dict(_axes(dynamic)) for name in (INPUT, *outputs)}
                torch.onnx.export(network, sample, path, dynamo=False, dynamic_axes=axes, **common)
        except Exception as error:  # exporters fail in many types; the file they were to write does not exist
            if _interrupted(error):
                raise KeyboardInterrupt from error
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            other = "torchscript" if exporter == "dynamo" else "dynamo"
            raise BadInput(
                f"torch's {exporter} exporter failed ({first[:160]}) — try --exporter {other}, or another --opset"
            ) from error
        model = onnx.load_model(str(path))
    given = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if given != opset:
        raise BadInput(
            f"torch's {exporter} exporter gave opset {given} where {opset} was asked for — use --opset {given}, or {OPSET}"
        )
    rename_by_module(model)
    strip_traces(model)
    _name_axes(model, dynamic)
    model.producer_name, model.producer_version = "hrnet-deploy", ""
    return model


def _axes(dynamic: Collection[str]) -> Iterator[tuple[int, str]]:
    positions = {"batch": 0, "height": 2, "width": 3}
    return ((positions[a], a) for a in AXES if a in dynamic)


def _dimensions(architecture: Architecture, dynamic: Collection[str]) -> dict[int, Any]:
    from torch.export import Dim

    step = architecture.divisor
    dimensions: dict[int, Any] = {}
    for position, axis in _axes(dynamic):
        if axis == "batch":
            dimensions[position] = Dim("batch", min=1, max=MAX_BATCH)
        else:
            dimensions[position] = step * Dim(f"_{axis}", min=1, max=max(4096 // step, 2))
    return dimensions


def _name_axes(model: onnx.ModelProto, dynamic: Collection[str]) -> None:
    """Open axes of the input are called batch, height, width; of an output batch, output_height, ..."""
    for value, prefix in [(model.graph.input[0], ""), *((o, "output_") for o in model.graph.output)]:
        shape = value.type.tensor_type.shape.dim
        for position, axis in _axes(dynamic):
            shape[position].dim_param = axis if axis == "batch" else f"{prefix}{axis}"


def _interrupted(error: BaseException | None) -> bool:
    """Whether it was Ctrl-C that an exporter took for a failure of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters print and log; what matters of it arrives as an exception."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
