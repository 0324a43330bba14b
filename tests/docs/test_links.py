"""Links of the documents lead somewhere, their commands exist with their options, and blocks are run or say why not."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from support.documents import DOCUMENTS, Block, anchors_of, blocks_of, links_of
from support.interpreter import ROOT

from hrnet_deploy.cli import app

EXECUTED = ("README.md", "docs/results.md", "docs/tutorials/*.md")  # test_readme.py and test_tutorials.py run these
BLOCKS = [b for document in DOCUMENTS for b in blocks_of(document)]


def name(value: Any) -> str:
    return value.name if isinstance(value, Block) else str(value.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for path, anchor in links_of(document):
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document}: {path}"
        assert target.is_relative_to(ROOT), f"{document}: {path}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{document}: {path}#{anchor}"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.command_lines], ids=name)
def test_commands_exist_with_their_options(block: Block) -> None:
    group: Any = typer.main.get_command(app)
    for line in block.command_lines:
        words = shlex.split(line, comments=True)[1:]
        words = words[: words.index(">")] if ">" in words else words
        command = group.commands[words[0]]
        command.make_context(words[0], list(words[1:]))


def test_blocks_of_the_documents_are_run_or_say_why_not() -> None:
    executed = {p for pattern in EXECUTED for p in ROOT.glob(pattern)}
    pages = [b for b in BLOCKS if b.document.is_relative_to(ROOT / "docs")]
    silent = [b.name for b in pages if b.is_run and b.document not in executed]
    assert silent == []
    assert all(b.reason for b in BLOCKS if b.marker)
    assert sum(b.is_run for b in BLOCKS if b.document == ROOT / "README.md") >= 6


def test_every_page_of_the_site_is_in_its_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        path = page.relative_to(ROOT / "docs").as_posix()
        assert path in text or path.startswith("decisions/"), f"{path} is not in the navigation of mkdocs.yml"
    for number, page in enumerate(sorted((ROOT / "docs/decisions").glob("[0-9]*.md")), start=1):
        assert page.name.startswith(f"{number:02d}-"), "decisions are numbered without gaps"
        assert f"]({page.name})" in (page.parent / "index.md").read_text(encoding="utf-8")
