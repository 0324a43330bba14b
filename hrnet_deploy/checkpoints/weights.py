"""Which weights of a file are taken, where it holds several sets of them.

Training often keeps an average of the weights (EMA) beside the weights themselves, under a key of its own or under
names with another prefix. The plain weights are taken, because every tool takes them, unless somebody names a key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_deploy.checkpoints.layouts import BODY, MOST_WRAPPERS
from hrnet_deploy.checkpoints.reading import check_size
from hrnet_deploy.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

# the keys under which training frameworks save a state dict; an earlier one is preferred
PLAIN = ("state_dict", "model", "model_state_dict", "net", "network", "module", "weights", "params")
AVERAGED = ("ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model")
AVERAGE = re.compile(r"(^|[._-])(ema|swa)($|[._-])|averag|teacher|shadow", re.IGNORECASE)  # in the key of an average
DEEPEST = 3  # dictionaries around the tensors
OPTION = "--weights-key"


@dataclass(frozen=True)
class Weights:
    """One set of weights: its tensors by name, its key in the file or an empty text, and the keys of the others."""

    tensors: Mapping[str, Tensor]
    key: str = ""
    others: Sequence[str] = ()

    @property
    def remark(self) -> str:
        """Which set was taken, and how to get another; empty where there is only one."""
        if not self.others:
            return ""
        return f"weights taken: {self.key} ({OPTION} {' or '.join(self.others)} takes the other ones)"


def choose_weights(content: Any, path: Path, key: str = "") -> Weights:
    """The weights in the content of a file: those under `key`, or without one the plain ones.

    Raises BadInput where there are none, and where several could be meant.
    """
    found = {k: t for outer, tensors in _state_dicts(content) for k, t in _networks(outer, tensors)}
    if key and key not in found:
        keys = f"it has {', '.join(found)}" if any(found) else "it has one set of weights, so leave the option out"
        raise BadInput(f"{path} has no weights under {OPTION} {key} — {keys}")
    if not found:
        raise BadInput(_nothing(content, path))
    chosen = key or min(found, key=_rank)
    if not key:
        equal = [k for k in found if _rank(k) == _rank(chosen)]
        if len(equal) > 1:
            raise BadInput(f"{path} holds several networks ({', '.join(equal)}) — choose one with {OPTION} {equal[0]}")
    check_size(found[chosen], path)
    return Weights(found[chosen], chosen, [k for k in found if k != chosen])


def _state_dicts(content: Any, key: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The state dicts in the content of a file, with the keys that lead to them, such as `state_dict.model`."""
    import torch

    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    inner = [
        found
        for k, value in content.items()
        if isinstance(value, Mapping) and (k in (*PLAIN, *AVERAGED) or _is_network(value))
        for found in _state_dicts(value, f"{key}.{k}" if key else str(k), depth + 1)
    ]
    yield from inner
    tensors = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    if tensors and not inner:
        yield key, tensors


def _networks(key: str, tensors: dict[str, Tensor]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """The networks in a state dict by the first part of their names, such as `ema_model`; mostly it is one."""
    prefix = ""
    for _ in range(MOST_WRAPPERS):
        inside = [n.removeprefix(prefix) for n in tensors if n.startswith(prefix)]
        bodies = {n[: n.index(".")] for n in inside if (m := BODY.search(n)) and m.start()}
        if len(bodies) > 1:
            for body in sorted(bodies):
                others = tuple(f"{prefix}{b}." for b in bodies - {body})
                name = f"{prefix}{body}"
                yield f"{key}.{name}" if key else name, {n: t for n, t in tensors.items() if not n.startswith(others)}
            return
        if len(bodies) != 1:
            break
        prefix += f"{bodies.pop()}."
    yield key, tensors


def _is_network(values: Mapping[Any, Any]) -> bool:
    """Whether a dictionary has names of the parameters of an HRNet or a ResNet."""
    return any(isinstance(k, str) and BODY.search(k) for k in values)


def _rank(key: str) -> tuple[bool, int]:
    """The order in which weights are taken: plain ones first, then by the key that is most usual."""
    known, first = (*PLAIN, *AVERAGED), key.partition(".")[0]
    return bool(AVERAGE.search(key)), known.index(first) if first in known else len(known)


def _nothing(content: Any, path: Path) -> str:
    if isinstance(content, Mapping) and "param_groups" in content:
        return f"{path} holds the state of an optimizer and no weights — give the checkpoint of the network"
    return f"{path} holds no state dict — expected tensors by name, or such a dict under 'state_dict' or 'model'"
