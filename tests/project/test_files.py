"""An output file is either complete or absent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.permissions import others_folder, without_rights

from hrnet_deploy.cards import folder as models
from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.files import (
    UNFINISHED,
    atomic_write,
    check_output,
    remove_unfinished,
    require_file,
    temporary_folder,
    write_json,
)
from hrnet_deploy.jobs.predict import PredictRequest, predict
from hrnet_deploy.workflow.open_model import ModelUse

Run = Callable[..., tuple[int, str, str]]
IMAGE = models() / "demo" / "images" / "000003.jpg"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_block_that_succeeds_writes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_write(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_nan_and_infinity_are_null_in_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"x": float("nan"), "y": [1.5, (float("inf"),)], "z": "text"})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": None, "y": [1.5, [None]], "z": "text"}


def test_outputs_that_cannot_be_written_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    with pytest.raises(BadInput, match="exists already"):
        check_output(tmp_path / "there", force=False)
    check_output(tmp_path / "there", force=True)
    with pytest.raises(BadInput, match="is a folder"):
        check_output(tmp_path, force=True)
    with pytest.raises(BadInput, match="does not exist — create it"):
        check_output(tmp_path / "none" / "a", force=False)


def test_folders_and_files_of_others_are_refused_at_the_start(tiny_onnx: Path) -> None:
    with others_folder() as folder:
        model = folder / "model.onnx"
        shutil.copy(tiny_onnx, model)
        folder.chmod(0o555)
        with without_rights():
            with pytest.raises(BadInput, match=f"the folder {folder} cannot be written to — name another output"):
                check_output(folder / "a.onnx", force=False)
            with pytest.raises(BadInput, match=f"the folder {folder} cannot be written to — name another output"):
                predict(PredictRequest(ModelUse(model), [IMAGE], folder / "out"))
        model.chmod(0)
        with without_rights(), pytest.raises(BadInput, match="model.onnx cannot be read — check its permissions"):
            require_file(model)


def test_without_any_room_for_temporary_files_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python finds no folder for them where the current one and all usual ones are full."""

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "gettempdir", none)
        with pytest.raises(Unavailable, match="there is no folder for temporary files .* name a folder with TMPDIR"):
            with temporary_folder():
                pass


def test_a_full_disk_is_said_and_nothing_is_left(small_disk: Path) -> None:
    with pytest.raises(Unavailable, match=f"no space is left in {small_disk} for a.bin — free some, or name an output"):
        with atomic_write(small_disk / "a.bin") as part:
            part.write_bytes(bytes(2**20))
    assert not list(small_disk.iterdir())


def test_what_a_library_makes_of_a_full_disk_is_understood(small_disk: Path) -> None:
    def fail(part: Path) -> None:
        try:
            part.write_bytes(bytes(2**20))
        except OSError as error:
            raise RuntimeError("the writer failed") from error

    with pytest.raises(Unavailable, match="no space is left"), atomic_write(small_disk / "a.bin") as part:
        fail(part)


def test_a_full_folder_of_temporary_files_is_named(
    small_disk: Path, tiny_onnx: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    code, said, err = run("half", tiny_onnx, "-o", tmp_path / "made.onnx")
    assert (code, said) == (3, "")
    assert err == (
        f"error: no space is left in {small_disk} for temporary files — free some, or name another folder of temporary "
        "files with TMPDIR\n"
    )
    assert not list(small_disk.iterdir())
    assert [p.name for p in tmp_path.iterdir()] == ["disk"]


def test_what_is_not_finished_can_be_removed_at_once(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder, atomic_write(tmp_path / "a") as part:
        (folder / "b").write_text("b")
        assert {folder, part} == UNFINISHED
        remove_unfinished()
        assert not list(tmp_path.iterdir())
        part.write_text("a")
    assert not UNFINISHED
