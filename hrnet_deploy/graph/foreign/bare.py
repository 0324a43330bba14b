"""An ONNX file of another exporter as it is: its inputs, its precision, and random values to run it on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.foreign.reading import QUANTIZED, shape_of, tensor_text
from hrnet_deploy.graph.metadata import load_model

LARGEST = 2**31  # bytes of one input
PRECISIONS = {TensorProto.FLOAT16: "fp16", TensorProto.BFLOAT16: "bf16"}


def inputs_of(model: ModelProto) -> list[ValueInfoProto]:
    """The inputs of a graph, without the weights that old files list among them."""
    weights = {i.name for i in model.graph.initializer}
    return [v for v in model.graph.input if v.name not in weights]


def precision_of(path: Path) -> str:
    """The precision in which most of a file's weights are stored: int8 where it has quantized operators."""
    model = load_model(path)
    if any(n.op_type in QUANTIZED for n in model.graph.node):
        return "int8"
    sizes: Counter[int] = Counter()
    for tensor in model.graph.initializer:
        sizes[tensor.data_type] += int(np.prod(tensor.dims))
    most = max(sizes, key=lambda kind: sizes[kind], default=TensorProto.FLOAT)
    return next((name for kind, name in PRECISIONS.items() if kind == most), "fp32")


def random_inputs(path: Path, batch: int, seed: int) -> dict[str, NDArray]:
    """Seeded random values of the shapes and types that a file declares, by the names of its inputs.

    Floats are normally distributed, integers of 8 bits are pixels, and other integers are 1, because they are mostly
    sizes or factors. An open first axis gets the batch.

    Raises BadInput where another axis is open, or where an input has no shape.
    """
    random = np.random.default_rng(seed)
    feed: dict[str, NDArray] = {}
    for value in inputs_of(load_model(path)):
        shape = shape_of(value)
        sizes = [batch if i == 0 and not (isinstance(d, int) and d) else d for i, d in enumerate(shape or ())]
        if shape is None or not all(isinstance(d, int) and d > 0 for d in sizes):
            raise BadInput(
                f"{path} takes {tensor_text(value)}, and its open axes have no size that could be measured — fix them "
                "with `hrnet-deploy adopt --size`, or export it with fixed axes"
            )
        kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if float(np.prod([float(d) for d in sizes])) * kind.itemsize > LARGEST:
            raise BadInput(f"{path} takes {tensor_text(value)}, more than 2 GiB — export it for a smaller input")
        whole = tuple(int(d) for d in sizes)
        if np.issubdtype(kind, np.floating) or kind.kind == "V":
            feed[value.name] = random.standard_normal(whole, dtype=np.float32).astype(kind)
        elif kind.itemsize == 1 and kind.kind in "iu":
            feed[value.name] = random.integers(0, 128, whole).astype(kind)
        else:
            feed[value.name] = np.ones(whole, kind)
    return feed
