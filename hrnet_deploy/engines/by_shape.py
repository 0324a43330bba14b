"""Engines of one network for several input sizes, as one engine. Each input is run by the engine for its shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hrnet_deploy.engines.base import Arrays, Engine, Feeds
from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import EngineInfo


class ByShape:
    """See `engines.base.Engine`. It describes itself like its first engine. All engines take the same batch."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        first = engines[0]
        self._engines = {self._size(e.inputs[0].shape): e for e in engines}
        self.name, self.device = first.name, first.device
        self.inputs, self.outputs = first.inputs, first.outputs

    @property
    def info(self) -> EngineInfo:
        return next(iter(self._engines.values())).info

    @staticmethod
    def _size(shape: Sequence[int | str]) -> tuple[int | str, ...]:
        return tuple(shape[1:])

    def _engine(self, feeds: Feeds) -> Engine:
        size = self._size(feeds[self.inputs[0].name].shape)
        if size not in self._engines:
            raise BadInput(f"none of these files takes an input of {list(size)} — export one with that --size")
        return self._engines[size]

    def run(self, feeds: Feeds) -> Arrays:
        return self._engine(feeds).run(feeds)

    def bind(self, feeds: Feeds) -> Callable[[], None]:
        return self._engine(feeds).bind(feeds)

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()
