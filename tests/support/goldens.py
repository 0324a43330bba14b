"""The golden outputs, and the weights and inputs they belong to, which are generated from names."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "golden"


def _generator(text: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(text.encode())))


def meta(name: str) -> dict[str, Any]:
    """The description of a golden: its source, its state dict, its inputs and outputs."""
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def arrays(name: str) -> dict[str, NDArray]:
    """The stored outputs of a golden."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        return dict(stored)


def _tensor(key: str, shape: tuple[int, ...]) -> NDArray:
    """The values of a tensor, from its name. Their distribution depends on what the tensor is."""
    g, leaf = _generator(key), key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        value = g.uniform(0.75, 1.25, shape)
    elif leaf in ("running_mean", "bias"):
        value = 0.05 * g.standard_normal(shape)
    elif len(shape) == 1:
        value = g.uniform(0.25, 0.65, shape)
    elif len(shape) == 2:
        value = g.standard_normal(shape) * np.sqrt(1.0 / shape[1])
    else:
        value = g.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
    return value.astype(np.float32)


def weights(name: str) -> dict[str, NDArray]:
    """The state dict of a golden network. It is checked against the recorded digest.

    The heads of a detector are scaled and shifted, so that it detects something.
    """
    described = meta(name)
    made = {key: _tensor(key, tuple(shape)) for key, shape, _ in described["state_dict"]}
    made |= {key: made[key] * np.float32(factor) for key, factor in described.get("weight_scale", {}).items()}
    made |= {key: np.array(values, np.float32) for key, values in described.get("weight_override", {}).items()}
    digest = hashlib.sha256(b"".join(v.tobytes() for v in made.values())).hexdigest()
    assert digest == described["weights_sha256"]
    return made


def inputs(name: str) -> list[NDArray]:
    """The inputs of a golden network."""
    described = meta(name)
    g = _generator(described["name"])
    return [g.standard_normal(tuple(i["shape"])).astype(np.float32) for i in described["input"]["inputs"]]


def blocks(name: str) -> NDArray:
    """The input of the golden of a complete detector: squares of 32 pixels with random values, and noise on them."""
    described = meta(name)["input"]
    g, (height, width) = _generator(described["seed_text"]), described["shape"][2:]
    fine, coarse = g.standard_normal((1, 3, height, width)), g.standard_normal((1, 3, height // 32, width // 32))
    image = (0.5 * fine + 4.0 * coarse.repeat(32, 2).repeat(32, 3)).astype(np.float32)
    assert hashlib.sha256(image.tobytes()).hexdigest() == described["inputs"][0]["sha256"]
    return image


def distance(name: str, outputs: dict[str, NDArray]) -> dict[str, float]:
    """The largest difference from each official output, relative to its largest magnitude, by its name."""
    stored, found = arrays(name), {}
    for described in meta(name)["outputs"]:
        if described["name"] not in outputs:
            continue
        full, step = outputs[described["name"]], described["npz_stride_hw"]
        assert list(full.shape) == described["shape"]
        found[described["name"]] = float(
            np.abs(full[..., ::step, ::step] - stored[described["npz_key"]]).max() / described["absmax"]
        )
    return found
