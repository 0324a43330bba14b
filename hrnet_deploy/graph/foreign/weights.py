"""Find the layers of a graph in a checkpoint by the values of their weights.

An exporter may fold a batch norm into the convolution before it. Each output channel of the convolution is then
multiplied by a factor, so weights are compared channel by channel up to a factor, and the batch norm is the one whose
factors these are.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.foreign.look import attribute
from hrnet_deploy.graph.foreign.naming import LayerName
from hrnet_deploy.graph.foreign.reading import WEIGHTED

EPSILON = 1e-5  # of the batch norms in every network of this package
CLOSE = {"": 1e-3, "float16": 5e-3, "bfloat16": 4e-2, "float64": 1e-3}  # by the type of the weights in the file


def layers_with_weights(model: ModelProto) -> dict[str, NDArray[np.float32]]:
    """The weights of every layer with the output channels first, by the name of its node."""
    constants = {i.name: i for i in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        if node.op_type in WEIGHTED and len(node.input) > 1 and node.input[1] in constants:
            values = np.asarray(numpy_helper.to_array(constants[node.input[1]]))
            if values.ndim > 1 and values.dtype == np.float32:
                found[node.name] = _outputs_first(node, values)
    return found


def _outputs_first(node: NodeProto, values: NDArray[np.float32]) -> NDArray[np.float32]:
    turned = node.op_type in ("ConvTranspose", "MatMul") or (
        node.op_type == "Gemm" and not attribute(node, "transB", 0)
    )
    return values.swapaxes(0, 1) if turned else values


def match_layers(
    model: ModelProto, state: Mapping[str, NDArray[np.float32]], transposed: Sequence[str], floats: str = ""
) -> tuple[dict[str, LayerName], list[str]]:
    """Which layer of a checkpoint each layer of a graph is.

    Args:
        model: a graph whose nodes have unique names.
        state: the tensors of the checkpoint, by name.
        transposed: names of those weights of the checkpoint that have their output channels on the second axis.
        floats: the type that the weights had in the file, which decides how close they must be.

    Returns:
        The names of layers by the name of the node, and the nodes whose weights are not in the checkpoint.
    """
    close = CLOSE[floats]
    offers: dict[tuple[int, ...], list[tuple[str, NDArray[np.float32]]]] = defaultdict(list)
    for name, values in state.items():
        if name.endswith(".weight") and values.ndim > 1:
            turned = values.swapaxes(0, 1) if name in transposed else values
            offers[turned.shape].append((name.removesuffix(".weight"), turned))
    norms = _norms(state)
    found: dict[str, LayerName] = {}
    missing: list[str] = []
    taken: set[str] = set()
    for node, values in layers_with_weights(model).items():
        best = None
        for layer, offer in offers[values.shape]:
            factor = _factor(values, offer, close)
            if factor is not None and (best is None or (best[0] in taken and layer not in taken)):
                best = (layer, factor)
        if best is None:
            missing.append(node)
            continue
        layer, factor = best
        taken.add(layer)
        folded = "" if np.allclose(factor, 1, rtol=close) else _norm_of(factor, norms, layer, close)
        found[node] = LayerName(layer, folded or layer)
    return found, missing


def _factor(values: NDArray[np.float32], offer: NDArray[np.float32], close: float) -> NDArray[np.float64] | None:
    """The factor of every output channel by which `values` are those of `offer`; None if they are others."""
    first, other = values[0].ravel(), offer[0].ravel()  # most offers differ in their first channel already
    if abs(abs(float(first @ other)) - float(np.linalg.norm(first) * np.linalg.norm(other))) > 1e-2 * float(
        np.linalg.norm(first) * np.linalg.norm(other)
    ):
        return None
    ours = values.reshape(len(values), -1).astype(np.float64)
    theirs = offer.reshape(len(offer), -1).astype(np.float64)
    length = (theirs * theirs).sum(1)
    factor = np.divide((ours * theirs).sum(1), length, out=np.zeros(len(ours)), where=length > 0)
    rest = np.linalg.norm(ours - factor[:, None] * theirs, axis=1)
    size = np.linalg.norm(ours, axis=1)
    faint = size < 1e-6 * max(float(size.max()), 1e-30)  # a channel that a batch norm has switched off
    return factor if bool(((rest <= close * size) | faint).all()) else None


def _norms(state: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    """The factor of every batch norm of a checkpoint, by its name."""
    names = [n.removesuffix(".running_var") for n in state if n.endswith(".running_var")]
    return {
        n: state[f"{n}.weight"].astype(np.float64) / np.sqrt(state[f"{n}.running_var"].astype(np.float64) + EPSILON)
        for n in names
        if f"{n}.weight" in state
    }


def _norm_of(factor: NDArray[np.float64], norms: Mapping[str, NDArray[np.float64]], layer: str, close: float) -> str:
    """The batch norm with these factors; the one nearest to the layer by name where several have them."""
    size = max(float(np.abs(factor).max()), 1e-30)
    fits = [n for n, f in norms.items() if f.shape == factor.shape and np.abs(f - factor).max() <= 10 * close * size]
    return max(fits, key=lambda n: _common(n, layer), default="")


def _common(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def require_layers(model: ModelProto, card: ModelCard, path: object) -> None:
    """Raise BadInput where the layers of a graph are not those of the card's network, by the shapes of their weights.

    Needs PyTorch, but no memory for the network: it is built without values.
    """
    import torch

    from hrnet_deploy.networks import build_network

    with torch.device("meta"):
        network = build_network(card.architecture)
    wanted = Counter(tuple(sorted(p.shape)) for n, p in network.named_parameters() if p.ndim > 1)
    distinct = {(v.shape, hashlib.sha256(v.tobytes()).digest()) for v in layers_with_weights(model).values()}
    has = Counter(tuple(sorted(shape)) for shape, _ in distinct)
    if has == wanted:
        return
    title = card.architecture.title
    more, fewer = has - wanted, wanted - has
    facts = [f"{n} layers with weights of {'x'.join(map(str, s))} {how}" for s, n, how in _first_of(more, fewer)]
    raise BadInput(
        f"{path} is not {title}, the network of the card {card.name}: it has {' and '.join(facts)} — give the card of "
        "this network, or a copy of a card with its architecture"
    )


def _first_of(
    more: Counter[tuple[int, ...]], fewer: Counter[tuple[int, ...]]
) -> Iterator[tuple[tuple[int, ...], int, str]]:
    yield from ((s, n, "too many") for s, n in list(more.items())[:1])
    yield from ((s, n, "too few") for s, n in list(fewer.items())[:1])
