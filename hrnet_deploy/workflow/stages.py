"""Stages of a long run, each done again only where something that decides it has changed.

Beside the result of a stage lies a file of inputs: everything that decides the result, by name, as text. A later run
compares it with its own. A stage is reused only where all inputs are the same, the files it made are as it left them,
and it had passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import read_json, sha256, write_json
from hrnet_deploy.results import codec
from hrnet_deploy.results.base import Result
from hrnet_deploy.workflow.identity import software

R = TypeVar("R", bound=Result)
KIND = "stage inputs"
INPUTS = ".inputs.json"


class StageFolder:
    """A folder with the results of stages and what decided each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def result_file(self, name: str) -> Path:
        """The file of a stage's result."""
        return self.folder / f"{name.replace(' ', '_').replace(':', '-')}.json"

    def do(
        self,
        name: str,
        cls: type[R],
        inputs: Mapping[str, str],
        work: Callable[[], R],
        good: Callable[[R], bool],
        outputs: Sequence[Path] = (),
    ) -> tuple[R, bool, str]:
        """The result of a stage, from an earlier run where nothing that decides it has changed.

        Args:
            name: of the stage; its file is called after it.
            cls: the class of its result.
            inputs: everything that decides the result besides the software, by a name that people understand.
            work: does the stage.
            good: whether a result may be reused: a failed stage is always done again.
            outputs: files that the stage makes.

        Returns:
            The result; whether it is an earlier run's; and what had changed, where it was done again because of it.
        """
        path = self.result_file(name)
        now = {**inputs, "the software": software()}
        earlier, reason = self._earlier(path, cls, now, good, outputs)
        if earlier is not None:
            return earlier, True, ""
        self._inputs_file(path).unlink(missing_ok=True)  # so that an interrupt leaves nothing that looks complete
        result = work()
        codec.write(path, result)
        if good(result):
            made = {file.name: sha256(file) for file in outputs}
            content = {"schema": 1, "kind": KIND, "inputs": now, "outputs": made, "result": sha256(path)}
            write_json(self._inputs_file(path), content)
        return result, False, reason

    def _earlier(
        self,
        path: Path,
        cls: type[R],
        now: Mapping[str, str],
        good: Callable[[R], bool],
        outputs: Sequence[Path],
    ) -> tuple[R | None, str]:
        """An earlier result that still holds; otherwise the reason why it does not, empty where there is none."""
        if not path.exists():
            return None, ""
        inputs = self._inputs_file(path)
        if not inputs.exists():
            return None, "the earlier run failed, was interrupted, or kept no record of what decided it"
        try:
            content = _checked(read_json(inputs, "the inputs of a stage"), inputs)
            result = codec.read_as(path, cls)
        except BadInput as error:
            return None, f"the earlier result cannot be read ({str(error).partition(' — ')[0]})"
        if changed := _changed(content["inputs"], now):
            return None, f"{', '.join(changed)} changed"
        if content["result"] != sha256(path):
            return None, f"{path.name} was changed"
        for file in outputs:
            if not file.exists() or content["outputs"].get(file.name) != sha256(file):
                return None, f"{file.name} is missing or was changed"
        return (result, "") if good(result) else (None, "the earlier run failed")

    def keep_if_same(self, file: Path, inputs: Mapping[str, str]) -> Path:
        """Delete a file of intermediate results that was made from other inputs, and record these for what comes.

        Returns the path, which may then be filled or gone on from.
        """
        now = {**inputs, "the software": software()}
        record = self._inputs_file(file)
        same = False
        if file.exists() and record.exists():
            try:
                same = not _changed(_checked(read_json(record, "the inputs of a stage"), record)["inputs"], now)
            except BadInput:
                same = False
        if not same:
            file.unlink(missing_ok=True)
            write_json(record, {"schema": 1, "kind": KIND, "inputs": now, "outputs": {}, "result": ""})
        return file

    def _inputs_file(self, path: Path) -> Path:
        return path.with_name(path.name.removesuffix(".json") + INPUTS)


def _checked(content: Any, path: Path) -> dict[str, Any]:
    """The content of a file of inputs. Raises BadInput where it is something else."""
    fields = {"inputs": dict, "outputs": dict, "result": str}
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise BadInput(f"{path} does not hold the inputs of a stage — delete it")
    if not all(isinstance(content.get(name), kind) for name, kind in fields.items()):
        raise BadInput(f"{path} is damaged — delete it")
    return content


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of inputs that are not the same, in the order of the newer run."""
    names = list(dict.fromkeys([*now, *before]))
    return [n for n in names if before.get(n) != now.get(n)]
