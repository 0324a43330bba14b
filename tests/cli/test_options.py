"""Every option of every command refuses values that make no sense, before any file is read."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import pytest
from typer.models import OptionInfo

from hrnet_deploy.cli import app

Run = Callable[..., tuple[int, str, str]]

# arguments with which a command would go on to read files, none of which exists
BASES: dict[str, tuple[str, ...]] = {
    "export": ("a.pth", "-o", "b.onnx"),
    "adopt": ("a.onnx", "-o", "b.onnx", "--against", "a.pth"),
    "quantize": ("a.onnx", "-o", "b.onnx", "--images", "i"),
    "half": ("a.onnx", "-o", "b.onnx"),
    "build": ("a.onnx", "-o", "b.plan"),
    "check": ("a.onnx", "--against", "a.pth", "--images", "i"),
    "bench": ("a.onnx",),
    "tune": ("a.onnx", "-o", "b.onnx", "--images", "i"),
    "run": ("a.pth", "-o", "o", "--images", "i"),
    "predict": ("a.onnx", "i", "-o", "o"),
    "eval": ("a.onnx", "--data", "i"),
    "compare": ("a.json", "b.json"),
    "report": ("a.json", "-o", "b.html"),
    "inspect": ("a.onnx",),
    "download": ("pose_hrnet_w32_256x192",),
}
BASE_OF_OPTION = {"--budget": ()}  # an option that needs other arguments
MAY_BE_0 = {"--seed", "--level", "--aux-streams", "--budget"}  # and every limit of how much something may change


def options(*kinds: type) -> Iterator[tuple[str, str]]:
    """Every command with each of its options whose values are of these types."""
    for registered in app.registered_commands:
        assert registered.callback is not None
        for name, hint in typing.get_type_hints(registered.callback, include_extras=True).items():
            kind, *facts = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
            option = next((f for f in facts if isinstance(f, OptionInfo)), None)
            inner = {kind, *(t for k in typing.get_args(kind) for t in (k, *typing.get_args(k)))}
            if option is not None and inner & set(kinds):
                long = [o for o in option.param_decls or () if o.startswith("--")]
                yield registered.name or registered.callback.__name__, (long or [f"--{name.replace('_', '-')}"])[0]


def refused(run: Run, command: str, option: str, *value: str) -> str:
    base = BASE_OF_OPTION.get(option, BASES.get(command, ()))
    code, out, err = run(command, *base, option, *value)
    assert (code, out) == (2, ""), err
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert option in err, err
    return err


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "option"), options(int))
def test_a_whole_number_that_makes_no_sense_is_refused(command: str, option: str, run: Run) -> None:
    for value in ("-1", "many", "1.5") if option in MAY_BE_0 else ("-1", "0", "many", "1.5"):
        refused(run, command, option, value)


@pytest.mark.parametrize(("command", "option"), options(float))
def test_a_number_that_makes_no_sense_is_refused(command: str, option: str, run: Run) -> None:
    for value in ("nan", "inf", "-1", "many"):
        refused(run, command, option, value)
    if option not in MAY_BE_0 and not option.startswith("--max-"):
        refused(run, command, option, "0")


@pytest.mark.parametrize(("command", "option"), dict(options(str, Path)).items())
def test_an_empty_value_is_refused(command: str, option: str, run: Run) -> None:
    """One option of every command, because the same lines refuse all."""
    for value in ((option, ""), (f"{option}=",)):
        code, _, err = run(command, *BASES[command], *value)
        assert (code, err) == (2, f"error: {option} is empty — give it a value or leave it out\n")


def test_an_empty_argument_is_refused(run: Run) -> None:
    assert "an argument is empty" in run("inspect", "")[2]


@pytest.mark.parametrize(("command", "option"), [o for o in options(int) if o[1] == "--threads"])
def test_more_threads_than_cores_are_refused(
    command: str, option: str, run: Run, tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BASES, command, (str(tiny_onnx), *BASES[command][1:]))  # bench asks the machine it measures on
    err = refused(run, command, option, "100000")
    assert "--threads 100000 is more than the " in err
    assert ("--oversubscribe" in err) == (command == "bench")


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("export", ("a.pth", "-o", "x.plan"), "the name of the exported file ends in .onnx, not in .plan"),
        (
            "quantize",
            ("a.onnx", "-o", "x", "--images", "i"),
            "the name of an int8 file ends in .onnx, not in no suffix",
        ),
        ("adopt", ("a.onnx", "-o", "x.json", "--against", "a.pth"), "the name of the adopted file ends in .onnx"),
        ("half", ("a.onnx", "-o", "x.trt"), "the name of a float16 file ends in .onnx"),
        ("tune", ("a.onnx", "-o", "x.json", "--images", "i"), "the name of the file of the winner ends in .onnx"),
        ("build", ("a.onnx", "-o", "x.onnx"), "the name of a plan ends in .plan or .engine"),
        ("check", ("a.onnx", "--against", "a.pth", "-o", "x.html"), "the name of a result file ends in .json"),
        ("bench", ("-o", "x.txt"), "the name of a result file ends in .json"),
        ("predict", ("a.onnx", "i", "-o", "o", "--engine", "torch"), "this command runs a file — choose among ort"),
        ("eval", ("a.onnx", "--data", "i", "--engine", "torch:cuda"), "this command runs a file"),
        ("check", ("a.onnx", "--against", "a.pth", "--engine", "torch"), "this command runs a file"),
        ("run", ("a.pth", "-o", "o", "--images", "i", "--engine", "torch"), "this command runs a file"),
        ("eval", ("a.onnx", "--data", "i", "--scales", "1,nan"), "--scales nan cannot be used"),
        ("eval", ("a.onnx", "--data", "i", "--scales", "0"), "--scales 0 cannot be used"),
        ("export", ("a.pth", "-o", "x.onnx", "--opset", "10"), "--opset 10 cannot be exported"),
        ("export", ("a.pth", "-o", "x.onnx", "--opset", "24"), "write opset 11 to 23"),
        ("export", ("a.pth", "-o", "x.onnx", "--opset", "13", "--exporter", "dynamo"), "leave --exporter out"),
        ("export", ("a.pth", "-o", "x.onnx", "--opset", "21", "--exporter", "torchscript"), "leave --exporter out"),
        ("export", ("a.pth", "-o", "x.onnx", "--dynamic", "depth"), "cannot make depth dynamic"),
        (
            "tune",
            ("a.onnx", "-o", "x.onnx", "--images", "i", "--weights-key", "ema"),
            "--weights-key needs a checkpoint",
        ),
        ("bench", ("a.onnx", "--weights-key", "ema"), "--weights-key needs a checkpoint"),
        ("bench", ("--oversubscribe",), "need a file"),
        (
            "export",
            ("a.pth", "--frob"),
            "no such option: --frob (Possible options: --force) — `hrnet-deploy export --help`",
        ),
    ],
)
def test_what_no_later_command_could_use_is_refused_first(
    command: str, arguments: tuple[str, ...], sentence: str, run: Run
) -> None:
    code, out, err = run(command, *arguments)
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
    assert sentence in err


def test_every_command_with_options_is_tried() -> None:
    commands = {name for name, _ in options(int, float, str, Path)}
    assert commands <= set(BASES)
