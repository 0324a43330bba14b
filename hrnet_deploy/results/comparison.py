"""The result of `compare`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from hrnet_deploy.results.base import Result


@dataclass(frozen=True)
class Change:
    """One figure that two results have in common.

    Attributes:
        subject: what was measured; name: of the figure; unit: of base and new.
        real: whether the difference is larger than noise.
        worse: whether it is real and the figure became worse.
        limit: the limit of `--fail-on`, as it was written; failed: whether it is exceeded.
    """

    subject: str
    name: str
    unit: str
    base: float
    new: float
    real: bool
    worse: bool
    limit: str = ""
    failed: bool = False

    @property
    def change(self) -> float:
        return self.new - self.base

    @property
    def percent(self) -> float | None:
        return 100 * self.change / self.base if self.base else None


@dataclass(frozen=True)
class CompareResult(Result):
    """What changed from `base` to `new` (names of files), and which subjects only one of the two has.

    `verdict` is a sentence on the two as a whole, if there is one to say.
    """

    kind: ClassVar[str] = "compare"

    base: str
    new: str
    changes: Sequence[Change]
    only_base: Sequence[str]
    only_new: Sequence[str]
    verdict: str = ""

    @property
    def passed(self) -> bool:
        return not any(c.failed for c in self.changes)

    def derived(self) -> dict[str, Any]:
        changes = [{**dataclasses.asdict(c), "change": c.change, "percent": c.percent} for c in self.changes]
        return {**super().derived(), "changes": changes}
