"""An output file is either complete or absent."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output, write_json


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
