"""How a command may end badly: one sentence that says the cure, and an exit code.

A verdict of no (exit code 1) is not an error but a result, so it has no class here.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class DeployError(Exception):
    """Something the user can mend. The message is one sentence: what is wrong, and how to mend it."""

    exit_code = 2


class BadInput(DeployError):
    """A file or argument that cannot be used."""

    exit_code = 2


class Unavailable(DeployError):
    """A library, device or file this machine does not have."""

    exit_code = 3


def need(module: str, extra: str) -> ModuleType:
    """Import a module of an optional extra, or say which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = module.partition(".")[0]
        raise Unavailable(
            f"{missing} is not installed — install it with: pip install 'hrnet-deploy[{extra}]'"
        ) from error
