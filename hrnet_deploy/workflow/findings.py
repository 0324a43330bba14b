"""Findings of long work, saved in a file so that an interrupted job goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hrnet_deploy.bench.environment import versions
from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, read_json

KIND = "notes"


class SavedFindings:
    """Findings by the digest of everything that decides them: graphs, images, options and library versions.

    Nothing is therefore taken for the finding of something else, and jobs may share a file. Without a path the
    findings last as long as the object.
    """

    def __init__(self, path: Path | None) -> None:
        """Read what the file holds. Raises BadInput where it is not a file of findings."""
        self.path = path
        self._libraries = versions()
        self._found: dict[str, Any] = self._read()

    def once(self, of: Mapping[str, Any], find: Callable[[], Any]) -> Any:
        """What `find` returns (plain JSON values), found now or by an earlier job.

        Args:
            of: everything that decides the finding, as plain JSON values.
            find: does the work.
        """
        key = hashlib.sha256(json.dumps([of, self._libraries], sort_keys=True).encode()).hexdigest()
        if key not in self._found:
            finding = find()
            self._found = {**self._read(), **self._found, key: finding}  # another job may have saved some meanwhile
            if self.path is not None:
                with atomic_write(self.path) as part:
                    part.write_text(
                        json.dumps({"schema": 1, "kind": KIND, "found": self._found}) + "\n", encoding="utf-8"
                    )
        return self._found[key]

    def _read(self) -> dict[str, Any]:
        if self.path is None or not self.path.exists():
            return {}
        content = read_json(self.path, "the findings of an earlier run")
        if not isinstance(content, dict) or content.get("kind") != KIND or not isinstance(content.get("found"), dict):
            raise BadInput(f"{self.path} does not hold findings of an earlier run — delete it, or name another file")
        return dict(content["found"])


def beside(statistics: Path | None) -> Path | None:
    """The file of findings that belongs to a file of calibration statistics."""
    return None if statistics is None else statistics.with_name(f"{statistics.name}.notes.json")
