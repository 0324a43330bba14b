"""Elements that several documents share: verdicts, differences on images, and figures with their limits."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_deploy.results.base import Setting
from hrnet_deploy.results.document import Cell, Element, Line, Table, Text
from hrnet_deploy.results.figures import Check, TaskFigures, TensorFigures
from hrnet_deploy.results.wording import NONE, between, counted, figure, said, sentence, signed

DIGEST = 16  # how many characters of a digest are shown


def setting(name: str, value: Setting) -> str:
    """A value that a figure depends on, as text. Of a digest, the first characters are enough."""
    return said(value)[:DIGEST] if name.endswith("sha256") else said(value)


def verdict(passed: bool, what: str) -> Text:
    """The first sentence of every document with a verdict."""
    return Text(f"Passed: {sentence(what)}", "good") if passed else Text(f"FAILED: {sentence(what)}", "bad")


def agreement(passed: bool, checks: Sequence[Check], model: str, reference: str, where: str = "") -> Text:
    """The verdict of a comparison. `where` is the end of the sentence."""
    if passed:
        what = f"agrees with {reference} within every limit"
    elif checks:
        what = f"differs from {reference} by more than a limit"
    else:
        what = f"was compared with {reference} without any limit"
    return verdict(passed, f"{model} {what}{where}")


def verdict_cell(passed: bool, note: str = "") -> Cell:
    """The verdict as a cell of a table."""
    return Cell("passed", note, "good") if passed else Cell("FAILED", note, "bad")


def task(figures: TaskFigures, more: Sequence[TensorFigures] = ()) -> list[Element]:
    """Differences on images: the task's own distance, the score with the interval of its difference, and the
    outputs."""
    found: list[Element] = [Text(sentence(f"{counted(figures.images, 'image')}: {figures.distance.sentence}"))]
    if figures.difference is None or figures.interval is None:
        reason = figures.unscored or "the images have no annotations"
        found.append(Text(sentence(f"No {figures.metric or 'score'}: {reason}"), "note"))
    else:
        scores: list[Line] = [
            ["reference", *(figure(n, v) for n, v in figures.reference.items())],
            ["engine", *(figure(n, v) for n, v in figures.engine.items())],
        ]
        caption = f"Score on {counted(figures.images, 'image')}, in points"
        found.append(Table(caption, ["model", *figures.reference], scores))
        change = f"{figures.metric} difference {signed(figures.difference)} points, 95% interval {interval(figures)}."
        found.append(Text(change))
        if figures.protocol:
            how = "; ".join(f"{k.replace('_', ' ')} {setting(k, v)}" for k, v in figures.protocol.items())
            found.append(Text(f"Scored with: {how}.", "note"))
    if tensors := [*more, *figures.tensors]:
        found.append(outputs(tensors))
    return found


def outputs(tensors: Sequence[TensorFigures]) -> Table:
    """How the outputs of two models differ."""
    columns = ["output", "inputs", "max", "relative", "cosine", "SQNR dB"]
    return Table("Outputs compared with the reference's", columns, [_tensor(t) for t in tensors], "llrrrr")


def interval(figures: TaskFigures) -> str:
    """The 95% interval of the difference, in points; empty if nothing was scored."""
    return between(signed(figures.interval[0]), signed(figures.interval[1])) if figures.interval else ""


def difference(figures: TaskFigures | None) -> Cell:
    """The difference of the score and its interval, or why there is none."""
    if figures is None or figures.difference is None:
        return Cell(NONE, figures.unscored if figures else "", "note")
    return Cell(f"{signed(figures.difference)} {figures.metric}", interval(figures))


def limits(checks: Sequence[Check]) -> list[Element]:
    """Every figure that has a limit."""
    rows: list[Line] = []
    for check in checks:
        value = "not a number" if check.value != check.value else f"{check.value:.4g}"
        rows.append([check.name, value, f"{check.limit:.4g}", verdict_cell(check.passed)])
    if not rows:
        return [Text("No figure had a limit, so the check fails.", "bad")]
    return [Table("Figures and their limits", ["figure", "value", "limit", "verdict"], rows, "lrrl")]


def _tensor(figures: TensorFigures) -> Line:
    sqnr = "equal" if figures.sqnr_db is None else f"{figures.sqnr_db:.1f}"
    maximum = Cell(f"{figures.maximum:.2e}") if figures.finite else Cell("not finite", tone="bad")
    return [figures.output, figures.inputs, maximum, f"{figures.relative:.2e}", f"{figures.cosine:.8f}", sqnr]


def file_line(path: str | None, size: int) -> Text:
    """The file that was written, or a remark that none was."""
    if path is None:
        return Text("Nothing was written.", "bad")
    return Text(sentence(f"{path}, {size / 1e6:.1f} MB" if size else path))
