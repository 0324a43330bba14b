"""The errors that a user can do something about. Each has an exit code and a message of one sentence.

A failed verdict (exit code 1) is a result, not an error, so it has no class here.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class DeployError(Exception):
    """An error the user can fix. The message is one sentence, which says what is wrong and how to fix it."""

    exit_code = 2


class BadInput(DeployError):
    """A file or an argument cannot be used."""

    exit_code = 2


class Damaged(BadInput):
    """One file among others cannot be read. The others can be used without it."""


class Unavailable(DeployError):
    """A library, a device or a file is not available on this machine."""

    exit_code = 3


def need(module: str, extra: str) -> ModuleType:
    """Import a module of an optional dependency.

    Args:
        module: the module to import.
        extra: the extra of this package that installs it.

    Raises:
        Unavailable: the module is not installed. The message has the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = module.partition(".")[0]
        raise Unavailable(
            f"{missing} is not installed — install it with: pip install 'hrnet-deploy[{extra}]'"
        ) from error
