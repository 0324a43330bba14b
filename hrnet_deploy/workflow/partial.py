"""A folder that an interrupted job continues to fill. Each unit of work is kept as soon as it is done, so that a
process may be killed at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.files import UNFINISHED, lacks_room, write_json

IDENTITY, DONE, LOCK, FILES = "identity.json", "done.jsonl", "lock", "files"


class PartialFolder:
    """The folder `NAME.part` next to an output folder NAME: the files made so far, and what each unit of work gave.

    It is used in a `with` statement. When the block ends, it is removed if it has been published or holds no finished
    unit. Otherwise a later job with the same identity continues with it, and one with another identity empties it.

    Attributes:
        folder: `NAME.part`.
        files: the folder in it that becomes the output.
        continued: how many units of an earlier job were used again.
    """

    def __init__(self, output: Path, identity: Mapping[str, Any]) -> None:
        self.output, self.folder = output, output.with_name(f"{output.name}.part")
        self.files = self.folder / FILES
        self.continued = 0
        self._identity = json.loads(json.dumps(dict(identity), default=str))
        self._known: dict[str, tuple[Any, list[str]]] = {}
        self._worth_keeping = False

    def __enter__(self) -> Self:
        """Raises BadInput if another process works in the folder, or if it is somebody's own."""
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput(f"{self.folder} is in the way of a folder for partial results — move it")
        if self.folder.is_dir() and not all(_is_own(p.name) for p in self.folder.iterdir()):
            raise BadInput(f"{self.folder} holds other files than those of an interrupted run — move it")
        if not self.folder.exists():
            UNFINISHED.add(self.folder)
            self.folder.mkdir()
        self._lock = _locked(self.folder / LOCK)
        self._load()
        self._lines = (self.folder / DONE).open("a", encoding="utf-8")
        return self

    def _load(self) -> None:
        """Read what an earlier job has kept, without a line that is half written, or empty the folder."""
        identity, done = self.folder / IDENTITY, self.folder / DONE
        with contextlib.suppress(OSError, ValueError):
            if json.loads(identity.read_bytes()) == self._identity and self.files.is_dir():
                with done.open("rb+") as lines:
                    end = 0
                    for line in lines:
                        if not line.endswith(b"\n"):
                            break
                        unit = json.loads(line)
                        self._known[unit["key"]] = (unit["value"], unit["files"])
                        end += len(line)
                    lines.truncate(end)
                self._worth_keeping = bool(self._known)
                return
        self._known.clear()
        shutil.rmtree(self.files, ignore_errors=True)
        for path in self.folder.iterdir():
            if path.name not in (LOCK, FILES):
                path.unlink(missing_ok=True)
        self.files.mkdir()
        done.touch()
        write_json(identity, self._identity)

    def kept(self, key: str) -> Any:
        """What a unit of work gave in an earlier job (plain JSON values), or None if it has to be done."""
        value, files = self._known.get(key, (None, []))
        if value is None or not all((self.files / name).is_file() for name in files):
            return None
        self.continued += 1
        return value

    def keep(self, key: str, value: Any, files: Sequence[str]) -> None:
        """Keep a unit of work that is done.

        Args:
            key: names the unit and everything that it depends on besides the identity.
            value: what it gave, as plain JSON values.
            files: what it has written into `files`, by their names there.
        """
        try:
            self._lines.write(json.dumps({"key": key, "value": value, "files": list(files)}) + "\n")
            self._lines.flush()
        except OSError as error:
            if lacks_room(error):
                raise Unavailable(
                    f"no space is left in {self.folder.parent} — free some and run the same command again, which "
                    f"continues from {self.folder}"
                ) from error
            raise
        self._worth_keeping = True
        UNFINISHED.discard(self.folder)

    def publish(self, last: str) -> None:
        """Give the files their final place. An existing output keeps its other files, and `last` is replaced last, so
        that if it is new, all files are."""
        if not self.output.exists():
            self.files.replace(self.output)
        else:
            for file in sorted((f for f in self.files.rglob("*") if f.is_file()), key=lambda f: f.name == last):
                place = self.output / file.relative_to(self.files)
                place.parent.mkdir(exist_ok=True)
                file.replace(place)
        self._worth_keeping = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # a full disk, which has been reported
            self._lines.close()
        if not self._worth_keeping:
            shutil.rmtree(self.folder, ignore_errors=True)
            UNFINISHED.discard(self.folder)
        os.close(self._lock)


def _is_own(name: str) -> bool:
    """Whether a job leaves a file or folder of this name; also if it was killed while it wrote its identity."""
    return name in (IDENTITY, DONE, LOCK, FILES) or fnmatch(name, f".{IDENTITY}.*.part")


def _locked(path: Path) -> int:
    """A lock on a file, which ends with its process. Raises BadInput if another process has it."""
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        import fcntl
    except ImportError:  # Windows has no such lock
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise BadInput(
            f"another command is writing into {path.parent} — wait for it, or name another output"
        ) from error
    return handle
