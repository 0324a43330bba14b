"""The page of error messages, and the comparison with those that tests make appear."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import error_table
import pytest
from support.interpreter import ROOT
from support.said import START

MODULE = '''"""A module."""
from hrnet_deploy.errors import BadInput, Unavailable

def check(path, names, rows):
    if rows:
        raise BadInput(f"{path} has {len(names)} names ({', '.join(names[:3])}), "
                       f"not {rows.count} — give {path.name!r} another")
    raise Unavailable(_why(path) if path else "it is not here — get it")

def _why(path):
    if path:
        return f"{path} is gone — look elsewhere"
    return "nothing is there — look elsewhere"
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "module.py").write_text(MODULE)
    return folder


def test_every_place_is_found_with_all_that_it_can_say(package: Path) -> None:
    first, second = error_table.places(package)
    assert (first.module, first.first, first.last, first.code) == ("pack/module.py", 6, 7, 2)
    assert first.sentences == ("{path} has {names} names ({names}), not {count} — give {name} another",)
    assert second.code == 3
    assert second.sentences == (
        "{path} is gone — look elsewhere",
        "nothing is there — look elsewhere",
        "it is not here — get it",
    )


def test_the_page_has_every_sentence_with_its_cure_and_code() -> None:
    page = error_table.error_page()
    assert "| {path} does not exist | check the path | 2 |" in page
    assert "| {missing} is not installed | install it with: pip install 'hrnet-deploy[{extra}]' | 3 |" in page
    rows = [line for line in page.splitlines() if line.startswith("| ") and line.endswith((" 2 |", " 3 |"))]
    assert len(rows) > 200
    assert all(row.count("|") - row.count("\\|") == 4 for row in rows)


def test_most_sentences_have_a_cure() -> None:
    """Those that have none hand on another error, or are a part of a sentence with a cure."""
    without = {s for p in error_table.places() for s in p.sentences if " — " not in s and "{" not in s}
    assert without <= {"the NVIDIA driver sees no GPU"}


TWICE = """
from contextlib import suppress
from pathlib import Path

from hrnet_deploy.files import require_file

for _ in "ab":
    with suppress(Exception):
        require_file(Path("/nothing"))
"""


def test_what_is_said_in_this_process_and_in_others_is_noted(tmp_path: Path) -> None:
    target = tmp_path / "said.txt"
    environment = {**os.environ, "HRNET_DEPLOY_SAID": str(target), "PYTHONPATH": f"{START}{os.pathsep}{ROOT}"}
    for _ in "ab":
        subprocess.run([sys.executable, "-c", TWICE], env=environment, check=True)
    lines = target.read_text().splitlines()
    assert len(lines) == 2  # each process notes a place once
    reached = [p for p in error_table.places() if f"{p.module}:{p.first}" == lines[0]]
    assert [p.sentences for p in reached] == [("{path} does not exist — check the path",)]
    assert reached[0] not in error_table.unsaid(target)
    assert len(error_table.unsaid(target)) > 100


def test_the_exceptions_have_a_reason_and_exist() -> None:
    known = {name for place in error_table.places() for name in place.names}
    for name, reason in error_table.allowed().items():
        assert reason.startswith("it needs "), f"write a test that makes it appear: {name}"
        assert name in known, f"no code says this any more: {name}"
