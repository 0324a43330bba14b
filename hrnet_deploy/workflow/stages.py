"""Stages of a long run. A stage is only repeated if something that its result depends on has changed.

Next to the result of a stage there is a file of inputs: everything that the result depends on, by name, as text. A
    later
run compares these inputs with its own. It reuses the stage only if all inputs are the same, the files that the stage
made are unchanged, and the stage had passed.
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
    """A folder with the results of stages and the inputs of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def result_file(self, name: str) -> Path:
        """The path of a stage's result file."""
        return self.folder / f"{name.replace(' ', '_').replace(':', '-')}.json"

    def run_or_reuse(
        self,
        name: str,
        cls: type[R],
        inputs: Mapping[str, str],
        work: Callable[[], R],
        good: Callable[[R], bool],
        outputs: Sequence[Path] = (),
    ) -> tuple[R, bool, str]:
        """The result of a stage: that of an earlier run if none of its inputs have changed, otherwise a new one.

        Args:
            name: of the stage; its file is named after it.
            cls: the class of its result.
            inputs: everything that the result depends on besides the software, by a name that people understand.
            work: runs the stage.
            good: whether a result may be reused; a failed stage is always repeated.
            outputs: files that the stage writes.

        Returns:
            The result; whether it is that of an earlier run; and, if an earlier result could not be reused, why.
        """
        path = self.result_file(name)
        now = {**inputs, "the software": software()}
        earlier, reason = self._earlier(path, cls, now, good, outputs)
        if earlier is not None:
            return earlier, True, ""
        self._inputs_file(path).unlink(missing_ok=True)  # so that an interrupted stage does not look complete
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
        """An earlier result that is still valid, otherwise None and the reason; the reason is empty if there is
        none."""
        if not path.exists():
            return None, ""
        inputs = self._inputs_file(path)
        if not inputs.exists():
            return None, "the earlier run failed, was interrupted, or did not record its inputs"
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

    def discard_if_stale(self, file: Path, inputs: Mapping[str, str]) -> Path:
        """Delete a file of intermediate results if it was made from other inputs, and record the new inputs.

        Returns the path. The work can be continued from the file if it still exists, otherwise the file can be written
        from the start.
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
    """The content of a file of inputs. Raises BadInput if it is something else."""
    fields = {"inputs": dict, "outputs": dict, "result": str}
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise BadInput(f"{path} does not hold the inputs of a stage — delete it")
    if not all(isinstance(content.get(name), kind) for name, kind in fields.items()):
        raise BadInput(f"{path} is damaged — delete it")
    return content


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the inputs that differ, in the order of the newer run."""
    names = list(dict.fromkeys([*now, *before]))
    return [n for n in names if before.get(n) != now.get(n)]
