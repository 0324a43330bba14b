"""Export a PyTorch network to an ONNX graph.

The default is torch's dynamo exporter. It has corrupted convolutional networks before (pytorch issues 166797 and
168224), so `torchscript` is offered as an alternative. `jobs.export` compares the graph of either with the PyTorch
network.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Literal

import onnx

from hrnet_deploy.architecture import INPUT, Architecture
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import temporary_folder
from hrnet_deploy.graph.names import rename_by_module, strip_traces
from hrnet_deploy.graph.operators import translations
from hrnet_deploy.tasks.base import noise

if TYPE_CHECKING:
    from torch import nn

OPSET = 20  # float16 scales need 19 or newer; TensorRT 10 reads up to 20
AXES = ("batch", "height", "width")  # that can be dynamic
MAX_BATCH = 256  # with a dynamic batch
Exporter = Literal["dynamo", "torchscript"]


def export_graph(
    network: nn.Module,
    card: ModelCard,
    batch: int = 1,
    dynamic: Collection[str] = (),
    opset: int = OPSET,
    exporter: Exporter = "dynamo",
) -> onnx.ModelProto:
    """Export a network.

    Args:
        network: the PyTorch network, in evaluation mode.
        card: says what inputs and outputs are called and how large the input is.
        batch: the batch size, unless it is dynamic.
        dynamic: those of AXES whose size stays open.
        opset: the ONNX opset.
        exporter: which of torch's exporters to use.

    Returns:
        A graph with the input `image`, float32 (N, C, H, W), further inputs if the architecture has any, and the
        outputs the architecture names. Operators and tensors are named after PyTorch modules.

    Raises:
        BadInput: the network cannot be exported with a dynamic axis, or the exporter failed.
        Unavailable: torch or onnxscript is not installed.
    """
    torch = need("torch", "export")
    need("onnxscript", "export")
    inputs, outputs = list(card.architecture.inputs), list(card.architecture.outputs)
    if dynamic and (reason := card.architecture.static_reason):
        raise BadInput(
            f"{card.architecture.title} takes one size of input and batch, because {reason} — leave --dynamic out, and "
            "export one file per size"
        )
    # the dynamo exporter treats an axis of size 1 as a constant, so a dynamic batch is traced with 2
    feed = noise(card, 2 if "batch" in dynamic else batch, seed=0)
    sample = tuple(torch.from_numpy(feed[i]) for i in inputs)
    with temporary_folder() as folder, _quiet(), torch.no_grad():
        path = folder / "graph.onnx"
        common: dict[str, Any] = {"input_names": inputs, "output_names": outputs, "opset_version": opset}
        try:
            if exporter == "dynamo":
                shapes = (_dimensions(card.architecture, dynamic),) if dynamic else None
                common |= {"dynamic_shapes": shapes, "custom_translation_table": translations()}
                torch.onnx.export(network, sample, path, dynamo=True, external_data=False, verbose=False, **common)
            else:
                axes = {name: dict(_axes(dynamic)) for name in (INPUT, *outputs)}
                torch.onnx.export(network, sample, path, dynamo=False, dynamic_axes=axes, **common)
        except Exception as error:  # the exporters raise exceptions of many types
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
            f"torch's {exporter} exporter wrote opset {given} instead of {opset} — use --opset {given}, or {OPSET}"
        )
    rename_by_module(model)
    strip_traces(model)
    _name_axes(model, dynamic)
    model.producer_name, model.producer_version = "hrnet-deploy", ""
    return model


def _axes(dynamic: Collection[str]) -> Iterator[tuple[int, str]]:
    """The position and the name of each dynamic axis of the input."""
    positions = {"batch": 0, "height": 2, "width": 3}
    return ((positions[a], a) for a in AXES if a in dynamic)


def _dimensions(architecture: Architecture, dynamic: Collection[str]) -> dict[int, Any]:
    """The dynamic axes as the dynamo exporter takes them. Heights and widths are multiples of the divisor."""
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
    """Name the dynamic axes: batch, height and width of the input; batch, output_height and output_width of outputs."""
    for value, prefix in [(model.graph.input[0], ""), *((o, "output_") for o in model.graph.output)]:
        shape = value.type.tensor_type.shape.dim
        for position, axis in _axes(dynamic):
            shape[position].dim_param = axis if axis == "batch" else f"{prefix}{axis}"


def _interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C caused an exception; the exporters report it as a failure of their own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters, which print and log. Their failures arrive as exceptions."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
