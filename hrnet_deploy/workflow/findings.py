"""A cache of findings: results of long computations, saved in a file so that an interrupted job can be resumed."""

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


class FindingsCache:
    """Findings, each under the digest of everything that it depends on: graphs, images, options and library versions.

    So a finding is never mistaken for another one, and several jobs may share a file. Without a path, the findings are
    kept only as long as the object exists.
    """

    def __init__(self, path: Path | None) -> None:
        """Read the file. Raises BadInput if it is not a file of findings."""
        self.path = path
        self._libraries = versions()
        self._found: dict[str, Any] = self._read()

    def get_or_compute(self, key: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """What `compute` returns (plain JSON values), computed now or by an earlier job.

        Args:
            key: everything that the finding depends on, as plain JSON values.
            compute: does the work.
        """
        digest = hashlib.sha256(json.dumps([key, self._libraries], sort_keys=True).encode()).hexdigest()
        if digest not in self._found:
            finding = compute()
            self._found = {**self._read(), **self._found, digest: finding}  # another job may have saved some meanwhile
            if self.path is not None:
                with atomic_write(self.path) as part:
                    part.write_text(
                        json.dumps({"schema": 1, "kind": KIND, "found": self._found}) + "\n", encoding="utf-8"
                    )
        return self._found[digest]

    def _read(self) -> dict[str, Any]:
        if self.path is None or not self.path.exists():
            return {}
        content = read_json(self.path, "the findings of an earlier run")
        if not isinstance(content, dict) or content.get("kind") != KIND or not isinstance(content.get("found"), dict):
            raise BadInput(f"{self.path} does not hold findings of an earlier run — delete it, or name another file")
        return dict(content["found"])


def cache_beside(statistics: Path | None) -> Path | None:
    """The file of findings that belongs to a file of calibration statistics."""
    return None if statistics is None else statistics.with_name(f"{statistics.name}.notes.json")
