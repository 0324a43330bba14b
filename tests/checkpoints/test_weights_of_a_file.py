"""A file with several sets of weights: which are taken, that it is said, and how to get the others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.layouts import State, prefixed, save

from hrnet_deploy import checkpoints
from hrnet_deploy.errors import BadInput

Run = Callable[..., tuple[int, str, str]]


def other(state: State) -> State:
    return {k: v * 2 if v.is_floating_point() else v for k, v in state.items()}


# by name: the content of a file that holds plain weights and an average of them, the key of the plain ones, and the
# key of the average
BOTH: dict[str, tuple[Callable[[State, State], Any], str, str]] = {
    "timm": (lambda p, a: {"state_dict_ema": a, "state_dict": p}, "state_dict", "state_dict_ema"),
    "mmengine": (
        lambda p, a: {"ema_state_dict": {"steps": torch.tensor(3), **prefixed("module.")(a)}, "state_dict": p},
        "state_dict",
        "ema_state_dict",
    ),
    "a model and its average": (lambda p, a: {"model_ema": a, "model": p}, "model", "model_ema"),
    "a nested average": (lambda p, a: {"ema": {"module": a, "updates": 3}, "model": p}, "model", "ema.module"),
    "prefixes": (
        lambda p, a: {"state_dict": {**prefixed("ema_model.")(a), **prefixed("model.")(p)}},
        "state_dict.model",
        "state_dict.ema_model",
    ),
    "prefixes without a key": (
        lambda p, a: {**prefixed("teacher.net.")(a), **prefixed("student.net.")(p)},
        "student",
        "teacher",
    ),
    "keys of one's own": (lambda p, a: {"teacher": a, "student": p}, "student", "teacher"),
}


@pytest.mark.parametrize("name", BOTH)
def test_the_plain_weights_are_taken_and_the_others_can_be(
    name: str, tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    plain = dict(tiny_network.state_dict())
    make, taken, left = BOTH[name]
    path = save(make(plain, other(plain)), tmp_path / "a.pth", "zip")
    for key, wanted in (("", plain), (taken, plain), (left, other(plain))):
        found = checkpoints.load(path, key)
        assert all(torch.equal(found.state[k], v) for k, v in wanted.items())
        one, two = (left, taken) if key == left else (taken, left)
        assert f"weights taken: {one} (--weights-key {two} takes the other ones)" in found.summary


@pytest.mark.parametrize("key", ["ema", "state_dict_ema", "ema_state_dict", "model_ema"])
def test_an_average_alone_is_taken(key: str, tiny_network: torch.nn.Module, tmp_path: Path) -> None:
    found = checkpoints.load(save({key: tiny_network.state_dict(), "epoch": 3}, tmp_path / "a.pth", "zip"))
    assert found.summary.endswith("0 missing, 0 unexpected")


def test_networks_of_equal_rank_are_not_guessed(tiny_network: torch.nn.Module, tmp_path: Path) -> None:
    state = dict(tiny_network.state_dict())
    both = {"state_dict": {**prefixed("left.")(state), **prefixed("right.")(state)}}
    path = save(both, tmp_path / "a.pth", "zip")
    with pytest.raises(BadInput, match=r"several networks \(state_dict.left, state_dict.right\) — choose one with"):
        checkpoints.load(path)
    assert checkpoints.load(path, "state_dict.right").layout == "official, prefix right."


def test_a_key_that_is_not_there_is_refused_with_those_that_are(tiny_network: torch.nn.Module, tmp_path: Path) -> None:
    state = dict(tiny_network.state_dict())
    path = save({"state_dict": state, "ema": state}, tmp_path / "a.pth", "zip")
    with pytest.raises(BadInput, match="no weights under --weights-key none — it has state_dict, ema"):
        checkpoints.load(path, "none")
    with pytest.raises(BadInput, match="one set of weights, so leave the option out"):
        checkpoints.load(save(state, tmp_path / "b.pth", "zip"), "ema")


def test_the_state_of_an_optimizer_is_named(tmp_path: Path) -> None:
    optimizer = torch.optim.Adam([torch.zeros(3, requires_grad=True)])
    with pytest.raises(BadInput, match="holds the state of an optimizer and no weights"):
        checkpoints.load(save(optimizer.state_dict(), tmp_path / "a.pth", "zip"))


def test_export_and_check_use_the_weights_that_were_chosen(
    tiny_network: torch.nn.Module, tmp_path: Path, run: Run
) -> None:
    plain = dict(tiny_network.state_dict())
    path = save({"state_dict": plain, "state_dict_ema": other(plain)}, tmp_path / "a.pth", "zip")
    code, out, err = run("inspect", path, "--weights-key", "state_dict_ema")
    assert (code, err) == (0, "") and "weights taken: state_dict_ema" in out
    for key in ("", "state_dict_ema"):
        onnx = tmp_path / f"of_{key}.onnx"
        named = ("--weights-key", key) if key else ()
        assert run("export", path, "-o", onnx, *named, "--size", "64x64")[0] == 0
        assert run("check", onnx, "--against", path)[0] == 0  # the key is in the file
        made_by = json.loads(run("inspect", onnx, "--json")[1])["made by"]
        assert any("key state_dict_ema" in step for step in made_by) == bool(key)


def test_a_checkpoint_in_several_files_is_refused_by_name(tmp_path: Path) -> None:
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text('{"metadata": {}, "weight_map": {"conv1.weight": "pytorch_model-00001-of-00002.bin"}}')
    part = tmp_path / "model-00001-of-00002.safetensors"
    part.write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    for path, what in ((index, "the index of a checkpoint"), (part, "one file of a checkpoint")):
        with pytest.raises(BadInput, match=f"is {what} that is spread over several files — join them"):
            checkpoints.load(path)


def test_weights_that_are_no_plain_numbers_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    state, path = torch.load(tiny_checkpoint), tmp_path / "odd.pth"
    for value, sentence in (
        (state["conv1.weight"].to_sparse(), r"sparse, quantized or without values \(conv1.weight\)"),
        ((state["conv1.weight"] * 100).to(torch.int8), r"no floating point numbers in 1 tensors \(conv1.weight\)"),
    ):
        torch.save({**state, "conv1.weight": value}, path)
        with pytest.raises(BadInput, match=sentence):
            checkpoints.load(path)
    path.write_bytes(bytes(4096))
    with pytest.raises(BadInput, match="is empty — the download or copy did not finish"):
        checkpoints.load(path)
