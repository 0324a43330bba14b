"""Work without the rights of the administrator, who may read and write everything."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@contextlib.contextmanager
def without_rights() -> Iterator[None]:
    """Run a block as a user who owns nothing, where the tests are run by the administrator."""
    if not hasattr(os, "setresuid"):
        pytest.skip("this system has no users that could be changed to")
    before = os.getresuid()
    if before[1] == 0:
        try:
            os.setresuid(NOBODY, NOBODY, 0)
        except OSError:
            pytest.skip("the user cannot be changed here")
    try:
        yield
    finally:
        os.setresuid(*before)


@contextlib.contextmanager
def others_folder() -> Iterator[Path]:
    """A folder that everybody can read, and only its owner can write into."""
    folder = Path(tempfile.mkdtemp(prefix="others-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)
