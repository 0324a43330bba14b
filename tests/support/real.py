"""Public photographs with their annotations, where somebody has put them. They have licences of their own, so this
project does not carry them: tests that read them are skipped where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.interpreter import ROOT

VARIABLE = "HRNET_DEPLOY_REAL_DATA"  # names the folder


def real(name: str) -> Path:
    """The folder of one data set, for example "coco". Skips the test where it is absent."""
    named = [Path(os.environ[VARIABLE])] if VARIABLE in os.environ else [p / "shared" / "real" for p in ROOT.parents]
    found = next((p / name for p in named if (p / name).is_dir()), None)
    if found is None:
        pytest.skip(f"no photographs of {name}: {VARIABLE} names no folder that has them")
    return found
