"""Every command block of the tutorials, run as it is written, on the demo models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.documents import blocks_of
from support.interpreter import ROOT
from support.working_folder import run_block, tutorial_folder

TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tutorial_folder(tmp_path_factory.mktemp("checkout"))


@pytest.mark.slow
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda p: p.stem)
def test_a_tutorial_runs_as_it_is_written(tutorial: Path, checkout: Path, tmp_path: Path) -> None:
    blocks = [b for b in blocks_of(tutorial) if b.is_run]
    for name in ("models", "benchmarks", "people"):
        (tmp_path / name).symlink_to((checkout / name).resolve())
    for block in blocks:
        if block.marker == "needs" and shutil.which(block.reason) is None:
            continue
        run_block(block, tmp_path)
