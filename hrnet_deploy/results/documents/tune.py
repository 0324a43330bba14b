"""The document of `tune`: accuracy against latency, and the measurement on which the choice is based."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from hrnet_deploy.results.bench import BenchRow
from hrnet_deploy.results.charts import Point, Scatter
from hrnet_deploy.results.document import Cell, Code, Document, Element, Line, Section, Table, Text
from hrnet_deploy.results.documents import bench
from hrnet_deploy.results.documents.figures import difference
from hrnet_deploy.results.documents.provenance import nested, origin
from hrnet_deploy.results.tuning import Candidate, TuneResult
from hrnet_deploy.results.wording import NONE, between, counted, megabytes, points, sentence

SHAKY = ", from UNSTABLE rows: do not quote it to the second digit."


def document(result: TuneResult, name: str) -> Document:
    """The winner, all candidates, which of them no other beats in both figures, and how to make the winner again."""
    several = len({c.threads for c in result.candidates}) > 1
    names = [_title(c, several) for c in result.candidates]
    minutes = f"{counted(len(result.candidates), 'candidate')} in {result.seconds / 60:.1f} minutes."
    found: list[Element] = [Text(sentence(f"Winner: {names[0]}. {result.verdict}"), "good"), Text(minutes, "note")]
    found += _gain(result)
    scored = _points(result, names)
    if scored:
        y_axis = f"{_metric(result.candidates)} difference in points, 95% interval"
        x_axis = "milliseconds end to end; less is better"
        found.append(Scatter("Latency against accuracy", x_axis, y_axis, scored))
    letters = {p.name: p for p in scored}
    columns = ["candidate", "end to end ms", "peak MB", _metric(result.candidates), "difference", "verdict"]
    lines = [_line(result, c, n, letters) for c, n in zip(result.candidates, names, strict=True)]
    found.append(Table("Candidates, the fastest first", columns, lines, "lrrrrl"))
    if scored:
        front = "Pareto: no other candidate is both faster and nearer to the float model's score, in either direction."
        found.append(Text(front, "note"))
    found += _images(result.winner)
    found.append(Text(f"{result.output} is the winner. Make it and measure it again with:", "note"))
    found += [Code(c) for c in result.commands]
    measured = nested(result.result, result)
    below = Section("The measurement", [], bench.parts(result.result), detail=True)
    return Document(f"{result.card}: the fastest that is accurate", found, [below, origin(measured, name)])


def _gain(result: TuneResult) -> list[Element]:
    """How many times faster than PyTorch the winner is."""
    ratio, base = result.faster_than_base, result.result.base
    if ratio is None or base is None:
        return []
    shaky = any(r.unstable for r in (base, result.row(result.winner)) if r is not None)
    interval = between(f"{ratio.low:.2f}", f"{ratio.high:.2f}")
    gain = f"{ratio.ratio:.2f} times faster than {base.title} eager ({interval}){SHAKY if shaky else '.'}"
    return [Text(gain), *([Text(sentence(f"Note: {base.remark}"), "note")] if base.remark else [])]


def _images(winner: Candidate) -> list[Element]:
    """The images behind the scores, and the winner's result on the test set."""
    found: list[Element] = []
    if winner.figures is not None:
        images = counted(winner.figures.images, "image")
        found.append(Text(f"Scores are from a validation set of {images}, on which the choice is based.", "note"))
    if (unseen := winner.test_figures) is not None:
        images = counted(unseen.images, "image")
        text = f"The winner on a test set of {images}: {unseen.distance.sentence}"
        found.append(Text(sentence(text)))
        if unseen.difference is not None:
            change = difference(unseen)
            found.append(Text(f"There its difference is {change.text}, 95% interval {change.note}."))
    return found


def front(costs: Sequence[tuple[float, float]]) -> list[bool]:
    """For each pair, whether it is on the front: no other pair is at most as large in both values and smaller in
    one."""
    return [not any(o != c and o[0] <= c[0] and o[1] <= c[1] for o in costs) for c in costs]


def _points(result: TuneResult, names: Sequence[str]) -> list[Point]:
    """The candidates that were measured and scored."""
    found = [
        (c.milliseconds, c.figures.difference, c.figures.interval, n, c.precision)
        for c, n in zip(result.candidates, names, strict=True)
        if c.accepted and c.milliseconds is not None and c.figures is not None
    ]
    scored = [(ms, d, i, n, p) for ms, d, i, n, p in found if d is not None and i is not None][: len(ascii_uppercase)]
    best = front([(ms, abs(d)) for ms, d, *_ in scored])
    return [
        Point(letter, name, ms, change, *interval, bench.tone(precision), on)
        for letter, (ms, change, interval, name, precision), on in zip(ascii_uppercase, scored, best, strict=False)
    ]


def _line(result: TuneResult, candidate: Candidate, name: str, letters: Mapping[str, Point]) -> Line:
    figures, point = candidate.figures, letters.get(name)
    score = NONE if figures is None or figures.difference is None else points(figures.engine[figures.metric])
    times: Cell | str = Cell(NONE, tone="note")
    peak = NONE
    row: BenchRow | None = result.row(candidate)
    if candidate.accepted and row is not None and row.status == "ok":
        times = bench.time_cell(row, "end_to_end")
        peak = megabytes(row.memory["peak_rss_over_before"]) if "peak_rss_over_before" in row.memory else NONE
    first = f"{point.letter}  {name}" if point is not None else name
    return [first, times, peak, score, difference(figures), _state(result, candidate, point)]


def _state(result: TuneResult, candidate: Candidate, point: Point | None) -> Cell:
    if not candidate.accepted:
        return Cell("rejected", candidate.rejected, "warning")
    pareto = "Pareto" if point is not None and point.front else ""
    return Cell("winner", pareto, "good") if candidate is result.winner else Cell(pareto)


def _metric(candidates: Sequence[Candidate]) -> str:
    return next((c.figures.metric for c in candidates if c.figures is not None and c.figures.metric), "score")


def _title(candidate: Candidate, several: bool) -> str:
    return f"{candidate.title}, {counted(candidate.threads, 'thread')}" if several else candidate.title
