"""Reads what the builder says of the graph that it compiled.

With detailed profiling verbosity, TensorRT for RTX logs one line for each compiled layer:

    Name: …, LayerType: correlation, Inputs: [ { Name: …, Dimensions: [1,64,64,48], …, Datatype: Half, … } …],
    Constants: […], Outputs: […], TacticName: __myl_…, StreamId: 0, …, Metadata: [ONNX Layer: conv1]…

`correlation` is a convolution, `kgen` a pointwise kernel, and `signal` and `wait` are joins between streams. The name
of a generated kernel lists its operations, four letters each: `__myl_ResiAddRelu` resizes, adds and cuts at zero.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hrnet_deploy.graph.quantize import block_of
from hrnet_deploy.results.compiled import CompiledBlock, CompiledGraph, ConvolutionCount

WIDTHS = {"Float": 4, "Half": 2, "BFloat16": 2, "Int8": 1, "UInt8": 1, "FP8": 1, "Bool": 1, "Int32": 4, "Int64": 8}
PRECISIONS = {"Float": "fp32", "Half": "fp16", "BFloat16": "bf16", "Int8": "int8", "FP8": "fp8"}
NO_KERNELS = ("signal", "wait", "shape_call")  # joins, and sizes that the host computes
LAYOUT = {"Tran", "Move", "Cast", "Resh", "Slic", "Conc", "Copy"}  # operations that compute nothing
LINE = re.compile(
    r"Name: (?P<name>.*?), LayerType: (?P<type>\w+), Inputs: \[(?P<inputs>.*?)\], Constants: \[(?P<constants>.*?)\], "
    r"Outputs: \[(?P<outputs>.*?)\], TacticName: (?P<tactic>\S*?), StreamId: (?P<stream>\d+).*?Metadata: (?P<origin>.*)"
)
TENSOR = re.compile(r"\{ Name: .*?, Dimensions: \[(?P<dims>[-\d,]*)\].*?Datatype: (?P<type>\w+)")
ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]*)\]")
OPERATION = re.compile(r"[A-Z][a-z]+")
TOTAL = re.compile(r"Total (Activation|Weights) Memory: (\d+) bytes")
REST = "input and output"
CONVERSIONS = (".cast", ".quantize", ".dequantize")  # the ends of names of operators that are not the network's own


@dataclass(frozen=True)
class Tensor:
    """An input or output of a compiled layer; an open axis is -1."""

    shape: tuple[int, ...]
    type: str

    def bytes(self, batch: int) -> int | None:
        """None if another axis than the batch is open."""
        sizes = [batch if axis == 0 and d < 0 else d for axis, d in enumerate(self.shape)]
        return None if min(sizes, default=0) < 0 else math.prod(sizes) * WIDTHS[self.type]


@dataclass(frozen=True)
class CompiledLayer:
    """One line of the log."""

    name: str
    type: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    operations: tuple[str, ...]
    stream: int
    nodes: tuple[str, ...]

    @property
    def is_convolution(self) -> bool:
        return self.type == "correlation" or (self.type == "runtime_fusion" and "Corr" in self.operations)

    @property
    def kind(self) -> str:
        """What the kernel does, in words."""
        if self.type == "correlation":
            return "convolution"
        if self.is_convolution:
            return "convolution with sums"
        if self.type not in ("kgen", "runtime_function", "runtime_fusion"):
            return self.type
        if self.operations and set(self.operations) <= LAYOUT:
            return "reformat"
        if "Roun" in self.operations:
            return "pointwise, to int8"
        return "resize" if self.operations == ("Resi",) else "pointwise"

    @property
    def block(self) -> str:
        """The block of the network that the kernel belongs to, by the first operator it was made of."""
        names = [*self.nodes, re.sub(r"_myl\d+_\d+$", "", self.name)]
        own = [n.partition("#")[0] for n in names if not n.startswith("__my") and not n.endswith(CONVERSIONS)]
        name = next((n for n in own if "." in n), own[0] if own else REST)
        return block_of(name).replace(".[!b]*", " fusion").removesuffix(".*") if "." in name else name


def read_layers(lines: Iterable[str]) -> list[CompiledLayer]:
    """The compiled layers that a log describes; none if the library does not describe them."""
    found = []
    for line in lines:
        if (m := LINE.match(line)) is None:
            continue
        inputs, outputs = (
            tuple(Tensor(tuple(int(d) for d in t["dims"].split(",") if d), t["type"]) for t in TENSOR.finditer(m[side]))
            for side in ("inputs", "outputs")
        )
        tactic = m["tactic"].removeprefix("__myl_").partition("_0x")[0] or m["name"].removeprefix("__myl_")
        operations = tuple(OPERATION.findall(tactic.partition("_myl")[0]))
        nodes = tuple(ORIGIN.findall(m["origin"]))
        found.append(CompiledLayer(m["name"], m["type"], inputs, outputs, operations, int(m["stream"]), nodes))
    return found


def read_compiled(lines: Sequence[str], batch: int = 1) -> CompiledGraph | None:
    """What the log says of a compiled graph. None if the library does not describe it.

    Args:
        lines: of the log.
        batch: the batch that an open batch is tuned for, for which bytes are counted.
    """
    layers = read_layers(lines)
    if not layers:
        return None
    kernels = [layer for layer in layers if layer.type not in NO_KERNELS]
    convolutions = Counter((k.inputs[0].type, k.outputs[0].type) for k in kernels if k.is_convolution)
    blocks: dict[str, list[CompiledLayer]] = {}
    for kernel in kernels:
        blocks.setdefault(kernel.block, []).append(kernel)
    totals = {m[1]: int(m[2]) for line in lines if (m := TOTAL.match(line))}
    return CompiledGraph(
        kernels=dict(Counter(k.kind for k in kernels).most_common()),
        convolutions=[
            ConvolutionCount(PRECISIONS.get(a, a), PRECISIONS.get(b, b), n) for (a, b), n in convolutions.most_common()
        ],
        streams=len({layer.stream for layer in layers}),
        joins=sum(layer.type == "wait" for layer in layers),
        traffic=_traffic(kernels, batch),
        batch=batch,
        weights=totals.get("Weights", 0),
        activations=totals.get("Activation", 0),
        blocks=[CompiledBlock(name, len(b), _traffic(b, batch)) for name, b in blocks.items()],
    )


def _traffic(kernels: Sequence[CompiledLayer], batch: int) -> int | None:
    """Bytes of all inputs and outputs of some kernels."""
    sizes = [t.bytes(batch) for k in kernels for t in (*k.inputs, *k.outputs)]
    known = [s for s in sizes if s is not None]
    return sum(known) if len(known) == len(sizes) else None
