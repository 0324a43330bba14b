"""The command line as a stranger meets it."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.interpreter import ROOT, loaded_after

from hrnet_deploy.cli import app
from hrnet_deploy.cli.parsing import optional_size, parse_size
from hrnet_deploy.errors import BadInput

Run = Callable[..., tuple[int, str, str]]
COMMANDS = [c.name or c.callback.__name__ for c in app.registered_commands]  # type: ignore[union-attr]


def test_importing_the_package_and_asking_for_help_load_nothing_heavy() -> None:
    assert loaded_after("import hrnet_deploy") == set()
    asking = "sys.argv = ['hrnet-deploy', '--help']\nfrom hrnet_deploy.cli import main\ntry:\n    main()\nexcept SystemExit:\n    pass"  # noqa: E501
    assert loaded_after(asking) == set()


def test_looking_at_models_and_predicting_need_no_torch(tiny_onnx: Path, tmp_path: Path) -> None:
    call = (
        "sys.argv = ['hrnet-deploy', *{!r}]\nfrom hrnet_deploy.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    images = str(ROOT / "models/demo/images")
    for arguments in (
        ["models"],
        ["doctor"],
        ["inspect", str(tiny_onnx)],
        ["predict", str(tiny_onnx), images, "-o", str(tmp_path / "o")],
        ["check", str(tiny_onnx), "--against", str(tiny_onnx)],
    ):
        assert "torch" not in loaded_after(call.format(arguments)), arguments


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str, run: Run) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Example: hrnet-deploy {command}" in " ".join(out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("frobnicate",),
        ("export",),
        ("export", "a.pth"),
        ("check", "a.onnx"),
        ("bench", "--batch", "many"),
        ("export", "a", "-o", "b", "--exporter", "x"),
    ],
)
def test_wrong_arguments_are_code_2_and_no_traceback(arguments: tuple[str, ...], run: Run) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in err
    assert err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("bench", "--card", "pose_hrnet_w42", "--weights", "random"), "did you mean pose_hrnet"),
        (("bench", "a.onnx", "--rounds", "1"), "--rounds 1 is too small — give a whole number of 6 or more"),
        (("bench", "a.onnx", "--batch", "0"), "--batch 0 is too small"),
        (("bench", "a.onnx", "--size", "64x64"), "--size goes with --card"),
        (("bench", "a.onnx", "--engine", "tvm"), "there is no engine 'tvm'"),
        (("bench", "none.onnx"), "none.onnx does not exist"),
        (("inspect", "none.onnx"), "none.onnx does not exist"),
        (("inspect", "a.plan"), "a.plan does not exist"),
        (("export", "pose_resnet50_256x192", "-o", "a.onnx"), "comes without weights, and none are published for it"),
        (("export", "none.pth", "-o", "nowhere/a.onnx"), "the folder nowhere does not exist"),
        (("export", "none.pth", "-o", "a.onnx", "--size", "big"), "--size big is not a size — give HEIGHTxWIDTH"),
        (("check", "none.onnx", "--against", "none.pth"), "none.onnx does not exist"),
        (("predict", "none.onnx", "a.jpg", "-o", "o"), "none.onnx does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_with_its_cure(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert sentence in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("export", "a.pth", "-o", "a.onnx", "--batch", "-1"), "--batch -1 is too small"),
        (("export", "a.pth", "-o", "a.onnx", "--size", "0x64"), "--size 0x64 is not a size"),
        (("check", "a.onnx", "--against", "a.pth", "--max-drop", "nan"), "--max-drop nan cannot be used"),
        (("check", "a.onnx", "--against", "a.pth", "--max-pixels", "-1"), "cannot be used — give 0 or more"),
        (("check", "a.onnx", "--against", "a.pth", "--images", "i", "--limit", "0"), "--limit 0 is too small"),
        (("check", "a.onnx", "--against", "a.pth", "--threads", "0"), "--threads 0 is too small"),
        (("eval", "a.onnx", "--data", "i", "--limit", "-3"), "--limit -3 is too small"),
        (("predict", "a.onnx", "i", "-o", "o", "--threads", "-2"), "--threads -2 is too small"),
        (("quantize", "a.onnx", "-o", "b.onnx", "--images", "i", "--max-drop", "nan"), "--max-drop nan cannot"),
        (("quantize", "a.onnx", "-o", "b.onnx", "--images", "i", "--held-out", "0"), "at least one image each"),
        (("quantize", "a.onnx", "-o", "b.onnx", "--images", "i", "--seed", "-1"), "--seed -1 is too small"),
        (("tune", "a.onnx", "-o", "b.onnx", "--images", "i", "--minutes", "inf"), "--minutes inf cannot be used"),
        (("tune", "a.onnx", "-o", "b.onnx", "--images", "i", "--threads", "0"), "--threads 0 is too small"),
        (("run", "a.pth", "-o", "o", "--images", "i", "--seconds", "nan"), "--seconds nan cannot be used"),
        (("run", "a.pth", "-o", "o", "--images", "i", "--precision", ","), "--precision is empty"),
        (("bench", "a.onnx", "--seconds", "nan"), "--seconds nan cannot be used"),
        (("bench", "--budget", "-1"), "--budget -1 cannot be used"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_before_any_file_is_read(
    arguments: tuple[str, ...], sentence: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.count("\n") == 1 and sentence in err
    assert list(tmp_path.iterdir()) == []


RENAMED = {
    "quantize": {
        "--limit": "--calibration-images",
        "--ranges": "--calibration-cache",
        "--fusion": "--branch-fusion",
        "--reduced": "--reduce-range",
        "--no-reduced": "--no-reduce-range",
    },
    "tune": {"--limit": "--calibration-images", "--ranges": "--calibration-cache"},
    "run": {"--limit": "--calibration-images"},
}


@pytest.mark.parametrize(
    ("command", "old", "new"), [(c, o, n) for c, names in RENAMED.items() for o, n in names.items()]
)
def test_an_old_option_name_still_works_and_says_the_new_one(
    command: str, old: str, new: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {"--limit": ["3"], "--ranges": ["r.npz"], "--fusion": ["float"]}.get(old, [])
    for words in ([old, *values], [f"{old}={v}" for v in values] or [old]):
        output = "out" if command == "run" else "out.onnx"
        code, _, err = run(command, "none.onnx", "-o", output, "--images", "nowhere", *words)
        assert code == 2 and err.startswith(f"note: {old} is now called {new}; ")
        assert "No such option" not in err and "none.onnx does not exist" in err
    said = run(command, "--help")[1]
    assert old.removeprefix("--no-").removeprefix("--") not in re.findall(r"--(?:no-)?([a-z-]+)", said)


def test_check_has_limits_for_detections(detector_onnx: Path, tiny_detector: Path, run: Run) -> None:
    for option, name in (("--max-missing", "missing"), ("--max-extra", "extra")):
        code, out, _ = run("check", detector_onnx, "--against", tiny_detector, option, "0.5", "--json")
        assert code == 0
        assert json.loads(out)["budget"]["distances"][name] == 0.5


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_shows_the_stage_and_the_count_and_nothing_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.progress import SILENT

    with shown() as progress:
        assert progress is SILENT
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", screen)
    with shown() as progress:
        progress.stage("reading the checkpoint")
        time.sleep(0.3)
        progress.stage("comparing on images", 7)
        progress.advance(3)
        time.sleep(0.3)
    drawn = screen.getvalue()
    assert "reading the checkpoint" in drawn and "comparing on images" in drawn and "3/7" in drawn and "left" in drawn


def test_a_file_that_is_not_onnx_is_said_to_be_none(tmp_path: Path, run: Run) -> None:
    for content in (b"", b"garbage", b"\x08\x01"):
        (tmp_path / "a.onnx").write_bytes(content)
        code, _, err = run("inspect", tmp_path / "a.onnx")
        assert code == 2
        assert "is not an ONNX file" in err


def test_an_engine_of_a_later_version_is_code_3(tiny_onnx: Path, tiny_checkpoint: Path, run: Run) -> None:
    code, out, err = run("check", tiny_onnx, "--against", tiny_checkpoint, "--engine", "trt")
    assert (code, out) == (3, "")
    assert "the trt engine cannot run here" in err


def test_a_missing_extra_is_code_3_and_named(
    tiny_checkpoint: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # what an environment without it looks like to an import
    code, _, err = run("export", tiny_checkpoint, "-o", tmp_path / "a.onnx")
    assert code == 3
    assert "torch is not installed — install it with: pip install 'hrnet-deploy[export]'" in err
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_the_package_s(run: Run) -> None:
    import hrnet_deploy

    assert run("--version") == (0, f"{hrnet_deploy.__version__}\n", "")


def test_models_and_doctor_speak_json(run: Run) -> None:
    names = [c["name"] for c in json.loads(run("models", "--json")[1])]
    assert "pose_hrnet_w48_256x192" in names
    found = json.loads(run("doctor", "--json")[1])
    assert found["engines"]["ort"]["missing"] == ""
    assert found["libraries"]["torch"] == torch.__version__


def test_inspect_says_what_a_checkpoint_is(tiny_checkpoint: Path, tiny_onnx: Path, run: Run) -> None:
    assert "pose, 17 keypoints, official layout, 0 missing, 0 unexpected" in run("inspect", tiny_checkpoint)[1]
    found = json.loads(run("inspect", tiny_onnx, "--json")[1])
    assert found["precision"] == "fp32"
    assert found["takes"] == "image float 1x3x96x64"


def test_inspect_knows_a_published_file_by_its_digest_alone() -> None:
    from hrnet_deploy.cards import card
    from hrnet_deploy.jobs.inspect import _published

    w32 = card("pose_hrnet_w32_384x288")
    found = _published(w32, "ca5956af" + "0" * 56)
    assert found is not None and found.startswith("AP 76 on COCO val2017, td-hm_hrnet-w32")
    assert _published(w32, "0" * 64) is None


def test_an_unforeseen_fault_is_a_sentence_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from hrnet_deploy import cards

    def fail() -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(cards, "cards", fail)
    code, _, err = run("models")
    assert code == 70
    assert err.startswith("error: RuntimeError: unforeseen — this is a bug in hrnet-deploy")


def test_a_size_is_height_then_width() -> None:
    assert parse_size("256x192") == (256, 192)
    assert optional_size(None) is None
    with pytest.raises(BadInput):
        parse_size("256")


@pytest.mark.slow
@pytest.mark.parametrize("when", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.paper)])
def test_a_run_killed_halfway_leaves_no_file_under_the_output_s_name(
    when: signal.Signals, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.onnx"
    command = [
        sys.executable,
        "-c",
        "from hrnet_deploy.cli import main; main()",
        "export",
        str(tiny_checkpoint),
        "-o",
        str(out),
        "--size",
        "96x64",
    ]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    whole = time.monotonic() - started
    expected = out.read_bytes()
    out.unlink()
    killed = 0
    for part in (0.7, 0.3):  # the first time may have been a slow one
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )
        time.sleep(whole * part)
        os.killpg(process.pid, when)
        _, err = process.communicate()
        if out.exists():  # it had come further than the first time had: then the file is whole
            assert out.read_bytes() == expected
            out.unlink()
        else:
            # an interrupt inside torch's C++ now and then ends the process there and then
            assert process.returncode in ((130, -signal.SIGINT, -signal.SIGABRT) if when == signal.SIGINT else (-when,))
            killed += 1
        assert "Traceback" not in err
    assert killed
