"""Annotations of another form, and a checkpoint that holds several sets of weights, in the commands that read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from hrnet_deploy.graph.metadata import read_description
from hrnet_deploy.workflow.open_model import weights_of

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "--data", "i"),
        ("check", "--against", "a.pth", "--images", "i"),
        ("quantize", "-o", "b.onnx", "--images", "i"),
        ("tune", "-o", "b.onnx", "--images", "i"),
    ],
)
def test_a_folder_of_annotations_of_people_is_refused_first(
    command: tuple[str, ...], tiny_onnx: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maps").mkdir()
    name, *rest = command
    code, _, err = run(name, tiny_onnx, *rest, "--annotations", "maps")
    assert code == 2 and f"--annotations maps is a folder, and {tiny_onnx} is for pose — give a file of annot" in err
    code, _, err = run(name, tiny_onnx, *rest, "--annotations", "none.json")
    assert code == 2 and "none.json does not exist" in err


def test_a_file_of_annotations_of_pixels_is_refused_first(
    exported_seg: Callable[..., Path], tmp_path: Path, run: Run
) -> None:
    (tmp_path / "a.json").write_text("{}")
    code, _, err = run("eval", exported_seg(), "--data", tmp_path, "--annotations", tmp_path / "a.json")
    assert code == 2 and "is not a folder" in err and "give a folder of label maps" in err


def test_tune_refuses_a_file_that_is_not_plain_float32(exported: Callable[..., Path], tmp_path: Path, run: Run) -> None:
    code, _, err = run("tune", exported(embed=True), "-o", tmp_path / "b.onnx", "--images", tmp_path)
    assert code == 2 and "decodes its own results (--embed)" in err


@pytest.fixture(scope="session")
def two_weights(tiny_network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the weights of the tiny network, and under state_dict_ema others."""
    state = tiny_network.state_dict()
    other = {n: t + 0.5 if n == "final_layer.bias" else t for n, t in state.items()}
    path = tmp_path_factory.mktemp("checkpoints") / "two.pth"
    torch.save({"state_dict": state, "state_dict_ema": other}, path)
    return path


def test_check_takes_the_weights_that_are_asked_for(two_weights: Path, tiny_onnx: Path, run: Run) -> None:
    assert run("check", tiny_onnx, "--against", two_weights)[0] == 0
    assert run("check", tiny_onnx, "--against", two_weights, "--weights-key", "state_dict_ema")[0] == 1
    code, _, err = run("check", tiny_onnx, "--against", two_weights, "--weights-key", "swa")
    assert code == 2 and "has no weights under --weights-key swa — it has state_dict, state_dict_ema" in err
    code, _, err = run("check", tiny_onnx, "--against", tiny_onnx, "--weights-key", "state_dict_ema")
    assert code == 2 and "is an ONNX file — leave it out" in err


def test_the_weights_a_file_was_made_from_are_taken_unless_others_are_named(
    two_weights: Path, tmp_path: Path, run: Run
) -> None:
    made = tmp_path / "ema.onnx"
    key = ("--weights-key", "state_dict_ema")
    assert run("export", two_weights, "-o", made, "--size", "96x64", *key)[0] == 0
    description = read_description(made)
    assert weights_of(str(two_weights), "", description) == (two_weights, "state_dict_ema")
    assert weights_of(str(two_weights), "state_dict", description) == (two_weights, "state_dict")


@pytest.mark.slow
def test_run_and_bench_take_the_weights_that_are_asked_for(two_weights: Path, tmp_path: Path, run: Run) -> None:
    from hrnet_deploy.cards import folder

    images = folder() / "demo" / "images"
    command = ("run", two_weights, "-o", tmp_path / "o", "--images", images, "--precision", "fp32", "--engine", "ort")
    code, _, err = run(*command, "--seconds", "0.05", "--weights-key", "state_dict_ema")
    assert code == 0, err
    made = tmp_path / "o" / "fp32.onnx"
    assert read_description(made).step("weights") == {"step": "weights", "key": "state_dict_ema"}
    quick = ("--seconds", "0.05", "--rounds", "6", "--threads", "1", "--engine", "torch")
    assert run("bench", made, "--checkpoint", two_weights, *quick, "--weights-key", "swa")[0] == 1  # its row fails
    assert run("bench", made, "--checkpoint", two_weights, *quick, "--weights-key", "state_dict_ema")[0] == 0
