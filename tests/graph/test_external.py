"""Tensors in files next to the model: every command computes with them, and none is read from anywhere else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.metadata import file_digest, load_model, read_description

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def beside(tiny_onnx: Path, tmp_path: Path) -> Path:
    """The tiny network, saved again with its tensors beside it."""
    path = tmp_path / "model.onnx"
    onnx.save(onnx.load(tiny_onnx), path, save_as_external_data=True, location="model.data")
    return path


def moved_to(path: Path, location: str) -> None:
    """Change where the model says that its tensors are."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def test_a_model_is_read_with_its_tensors(beside: Path, tiny_onnx: Path) -> None:
    assert beside.stat().st_size < tiny_onnx.stat().st_size
    found, wanted = load_model(beside), load_model(tiny_onnx)
    assert [t.raw_data for t in found.graph.initializer] == [t.raw_data for t in wanted.graph.initializer]
    assert not any(t.external_data for t in found.graph.initializer)
    assert read_description(beside) == read_description(tiny_onnx)


def test_commands_give_the_same(beside: Path, tiny_onnx: Path, tmp_path: Path, run: Run) -> None:
    for model, name in ((beside, "a"), (tiny_onnx, "b")):
        assert run("half", model, "-o", tmp_path / f"{name}.onnx")[0] == 0
        assert run("predict", model, "-o", tmp_path / name, "--no-pictures", *_images())[0] == 0
    assert (tmp_path / "a" / "results.json").read_text() == (tmp_path / "b" / "results.json").read_text()
    half, other = (load_model(tmp_path / f"{name}.onnx").graph for name in "ab")
    assert half == other
    code, said, _ = run("inspect", beside)
    assert (code, file_digest(beside)[:8] in said) == (0, True)


def _images() -> list[Path]:
    from hrnet_deploy.cards import folder

    return [folder() / "demo" / "images" / "000003.jpg"]


def test_the_digest_is_also_of_the_tensors(beside: Path) -> None:
    before, data = file_digest(beside), beside.with_name("model.data")
    data.write_bytes(data.read_bytes()[:-1] + b"\x00")
    assert file_digest(beside) != before


@pytest.mark.parametrize("command", ["inspect", "predict", "half", "quantize", "eval", "check", "bench", "build"])
def test_data_that_is_missing_is_named(command: str, beside: Path, tmp_path: Path, run: Run) -> None:
    beside.with_name("model.data").unlink()
    arguments = {
        "predict": [*_images(), "-o", tmp_path / "out"],
        "half": ["-o", tmp_path / "a.onnx"],
        "quantize": ["-o", tmp_path / "a.onnx", "--images", _images()[0].parent],
        "eval": ["--data", _images()[0].parent],
        "check": ["--against", beside],
        "build": ["-o", tmp_path / "a.plan"],
    }.get(command, [])
    code, said, err = run(command, beside, *arguments)
    assert (code, said) == (2, "")
    assert err == f"error: {beside} has tensors in model.data, which is not next to it — copy both files\n"


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/hostname", "a/../../secret", "..\\secret", "C:\\secret", "link"]
)
def test_nothing_outside_the_folder_is_read(location: str, beside: Path) -> None:
    inside = beside.parent / "inside"
    inside.mkdir()
    shutil.move(beside.with_name("model.data"), beside.with_name("secret"))
    (inside / "link").symlink_to(beside.with_name("secret"))
    model = inside / "model.onnx"
    shutil.move(beside, model)
    moved_to(model, location)
    for read in (read_description, load_model, file_digest):
        with pytest.raises(BadInput, match="which is not in its folder — save the model with its data next to it"):
            read(model)


def test_a_link_to_a_model_with_its_data_is_followed(beside: Path) -> None:
    folder = beside.parent / "links"
    folder.mkdir()
    for name in ("model.onnx", "model.data"):
        (folder / name).symlink_to(beside.with_name(name))
    assert load_model(folder / "model.onnx").graph == load_model(beside).graph


def test_data_that_is_cut_off_is_named(beside: Path) -> None:
    data = beside.with_name("model.data")
    data.write_bytes(data.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"model\.data is cut off: .* has tensors up to byte \d+ of it"):
        load_model(beside)


def test_tensors_of_more_than_two_gigabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    path, data = tmp_path / "large.onnx", tmp_path / "large.data"
    with data.open("wb") as file:
        file.truncate(2**31)  # a hole, which takes no room on the disk
    tensor = onnx.TensorProto(name="w", dims=[2**29], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", data.name), ("length", str(2**31))):
        tensor.external_data.add(key=key, value=value)
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["w"], ["y"])], "g", [], [], [tensor])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(BadInput, match=r"large.onnx has 2.0 GiB of tensors in other files — at most 2 GiB"):
        load_model(path)
