"""Every command block of the README and of the page on result files, run as it is written, on the demo models."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import Block, blocks_of
from support.interpreter import ROOT
from support.working_folder import readme_folder, run_block

RESULTS = ROOT / "docs/results.md"
BLOCKS = [b for b in blocks_of(ROOT / "README.md") if b.is_run]
SHELL = [b for b in BLOCKS if b.language != "yaml"]
WORKFLOWS = [b for b in BLOCKS if b.language == "yaml"]
IMAGES = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one folder that all blocks share, as for somebody who types them one after the other."""
    return readme_folder(tmp_path_factory.mktemp("readme"), IMAGES)


@pytest.mark.slow
@pytest.mark.parametrize("block", SHELL, ids=lambda b: b.name)
def test_a_block_of_the_readme_runs_as_it_is_written(block: Block, folder: Path) -> None:
    run_block(block, folder)


@pytest.mark.slow
@pytest.mark.parametrize("block", [b for b in blocks_of(RESULTS) if b.is_run], ids=lambda b: b.name)
def test_a_block_of_the_page_on_results_runs_as_it_is_written(block: Block, folder: Path) -> None:
    if block.marker == "needs" and shutil.which(block.reason) is None:
        pytest.skip(f"{block.reason} is not installed")
    if not (folder / "int8.json").exists():  # the result that the README's workflow makes
        call = "from hrnet_deploy.cli import main; main()"
        quantize = ["quantize", "pose.onnx", "-o", "again.onnx", "--images", "drawn_people", "--json"]
        done = subprocess.run([sys.executable, "-c", call, *quantize], cwd=folder, stdout=subprocess.PIPE, text=True)
        (folder / "int8.json").write_text(done.stdout)
    run_block(block, folder)


@pytest.mark.slow
@pytest.mark.parametrize("block", WORKFLOWS, ids=lambda b: b.name)
def test_a_workflow_of_the_readme_runs_with_earlier_baselines(block: Block, folder: Path, tmp_path: Path) -> None:
    for name, target in {"weights.pth": "weights.pth", "val": "drawn_people"}.items():
        (tmp_path / name).symlink_to(folder / target)
    steps = block.script.splitlines(keepends=True)
    for compares in (False, True):  # the comparisons come last, with copies of the results as baselines
        script = "".join(s for s in steps if ("compare" in s) == compares)
        run_block(Block(block.document, block.line, "sh", script), tmp_path)
        if not compares:
            (tmp_path / "baseline").mkdir()
            for path in tmp_path.glob("*.json"):
                shutil.copy(path, tmp_path / "baseline")
