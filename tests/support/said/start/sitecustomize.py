"""Python imports this module when it starts, if its folder is on PYTHONPATH. It notes which lines make an error of the
package: each line once, appended to the file that HRNET_DEPLOY_SAID names."""

from __future__ import annotations

import atexit
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

ERRORS = "hrnet_deploy.errors"
FOLDER = f"{os.sep}hrnet_deploy{os.sep}"
_noted: set[tuple[str, int]] = set()
_waiting: list[str] = []


def patch(module: Any) -> None:
    """Let the errors of `hrnet_deploy.errors` note the line that makes them."""
    base = module.DeployError
    if getattr(base, "noted", False):
        return
    plain = base.__init__

    def init(self: Any, *arguments: Any) -> None:
        plain(self, *arguments)
        frame = sys._getframe(1)
        note(frame.f_code.co_filename, frame.f_lineno)

    base.__init__, base.noted = init, True


def note(file: str, line: int) -> None:
    target = os.environ.get("HRNET_DEPLOY_SAID")
    if not target or FOLDER not in file or (file, line) in _noted:
        return
    _noted.add((file, line))
    relative = "hrnet_deploy/" + file.rpartition(FOLDER)[2].replace(os.sep, "/")
    _waiting.append(f"{relative}:{line}\n")
    write()


def write() -> None:
    """Write what is noted. Where a test has taken the right to write away, it waits for the next time."""
    target = os.environ.get("HRNET_DEPLOY_SAID")
    if not target or not _waiting:
        return
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError:
        return
    try:
        os.write(handle, "".join(_waiting).encode())
        _waiting.clear()
    finally:
        os.close(handle)


atexit.register(write)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the module of the errors as Python does, and patches it when it is loaded."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        if name != ERRORS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            patch(module)

        loader.exec_module = exec_module
        return spec


def watch() -> None:
    """Patch the errors now, or when they are imported."""
    if ERRORS in sys.modules:
        patch(sys.modules[ERRORS])
    elif not any(type(f).__name__ == "Finder" for f in sys.meta_path):
        sys.meta_path.insert(0, Finder())


if os.environ.get("HRNET_DEPLOY_SAID"):
    watch()
