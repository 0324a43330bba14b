"""Results as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.parity import Check, TaskFigures, TensorFigures, passed

if TYPE_CHECKING:
    from rich.console import Console

    from hrnet_deploy.bench.result import Result, Row
    from hrnet_deploy.jobs.check import Report
    from hrnet_deploy.jobs.export import Exported


def _table(*columns: str, left: int = 1, title: str = "") -> Table:
    """Numbers to the right; the first `left` columns to the left."""
    table = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left", title_style="bold")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right", no_wrap=i == 0, overflow="fold")
    return table


def _verdict(passed: bool) -> Text:
    return Text("passed", "green") if passed else Text("FAILED", "bold red")


def model_table(console: Console, cards: Iterable[ModelCard]) -> None:
    table = _table("card", "network", "input", "published", left=4)
    for card in cards:
        best = next((f"{p.metric} {p.value:g} ({p.data})" for p in card.published if p.value is not None), "")
        own = "weights included" if card.checkpoint else ""
        table.add_row(card.name, card.architecture.title, card.input.size, best or own)
    console.print(table)


def facts(console: Console, found: Mapping[str, Any]) -> None:
    """Names and values; the first line is the sentence."""
    rest = dict(found)
    console.print(escape(rest.pop("what")), style="bold")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rest.items():
        if isinstance(value, Mapping):
            value = [f"{k} {v}" for k, v in value.items()]
        table.add_row(name, escape("\n".join(value) if isinstance(value, list) else str(value)))
    console.print(table)


def health(console: Console, found: Mapping[str, Any]) -> None:
    cpu = found["cpu"]
    quota = f", cgroup quota {cpu['cgroup_quota']:g}" if cpu["cgroup_quota"] else ""
    libraries = ", ".join(f"{k} {v}" for k, v in found["libraries"].items())
    facts(
        console,
        {
            "what": f"{cpu['model']}, {cpu['threads_available']} of {cpu['cores']} cores usable{quota}, {cpu['memory_gib']} GiB",
            "int8": found["int8"],
            "bf16": found["bf16"],
            "GPU": found["gpu"],
            "libraries": libraries,
        },
    )
    table = _table("engine", "", "", left=3)
    for name, engine in found["engines"].items():
        state = Text("ready", "green") if not engine["missing"] else Text("not here", "yellow")
        table.add_row(name, state, escape(engine["missing"] or engine["title"]))
    for name, missing in found["extras"].items():
        state = Text("ready", "green") if not missing else Text("not here", "yellow")
        table.add_row(f"extra {name}", state, escape(missing))
    console.print()
    console.print(table)


def exported(console: Console, done: Exported) -> None:
    console.print(escape(done.summary), style="bold")
    card = done.description.card
    if done.assumption:
        console.print(escape(done.assumption), style="yellow")
    simplified = done.description.step("simplify")
    if simplified and not simplified["applied"]:
        console.print(f"not simplified: {escape(simplified['reason'])}", style="yellow")
    console.print(f"{escape(str(done.path))}  {done.path.stat().st_size / 1e6:.1f} MB, card {card.name}, input {card.input.size}")
    _tensors(console, [*done.tensors, *done.task.tensors])
    _moved(console, done.task)
    _checks(console, done.checks, f"{done.engine['name']} ({done.engine['threads']} threads) verified against PyTorch")


def checked(console: Console, report: Report) -> None:
    facts_ = ", ".join(f"{k} {v}" for k, v in report.engine_facts.items())
    console.print(f"{escape(report.model)} ({report.precision}) against {escape(report.against)}", style="bold")
    console.print(
        f"engine {report.engine} ({facts_}); images: {escape(report.images)}; flip test: {'yes' if report.flip_test else 'no'}", style="dim"
    )
    if report.warning:
        console.print(f"warning: {report.warning}", style="yellow")
    _tensors(console, [*report.tensors, *report.task.tensors])
    _moved(console, report.task)
    _scores(console, report.task)
    _checks(console, report.checks, "parity")
    if report.first:
        console.print(f"first tensor that differs: {escape(report.first)}", style="red")


def _tensors(console: Console, figures: Sequence[TensorFigures]) -> None:
    if not figures:
        return
    table = _table("output", "on", "max", "relative", "cosine", "SQNR dB", left=2)
    for f in figures:
        sqnr = "equal" if f.sqnr_db is None else f"{f.sqnr_db:.1f}"
        table.add_row(f.output, f.inputs, f"{f.maximum:.2e}", f"{f.relative:.2e}", f"{f.cosine:.8f}", sqnr)
    console.print(table)


def _moved(console: Console, task: TaskFigures) -> None:
    console.print(f"{task.images} images, {escape(task.distance.sentence)}")


def _scores(console: Console, task: TaskFigures) -> None:
    if task.difference is None or task.interval is None:
        console.print(f"no {task.metric or 'score'}: {escape(task.unscored)}", style="dim")
        return
    table = _table(*("", *task.reference))
    for name, scores in (("reference", task.reference), ("engine", task.engine)):
        table.add_row(name, *(f"{100 * v:.2f}" for v in scores.values()))
    console.print(table)
    low, high = task.interval
    source = ", ".join(f"{k} {str(v)[:16]}" for k, v in task.protocol.items())
    console.print(
        f"{task.metric} difference {task.difference:+.3f} points, 95% interval {low:+.3f} to {high:+.3f}  [dim]({escape(source)})[/dim]"
    )


def _checks(console: Console, checks: Sequence[Check], what: str) -> None:
    verdict = passed(checks)
    for check in checks:
        if not check.passed:
            console.print(f"  {escape(check.name)}: {check.value:.4g}, limit {check.limit:.4g}", style="red")
    console.print(Text(f"{what}: ", "bold") + _verdict(verdict) + Text(f" ({len(checks)} figures within their limits)" if verdict else ""))


def measured(console: Console, result: Result) -> None:
    """One line a row; what a column covers is in its name. Times are medians of a batch with 95% intervals."""
    cpu = result.environment["cpu"]
    models = sorted({r.model for r in result.rows})
    console.print(
        f"{escape(', '.join(models))} on {cpu['model']}, {cpu['threads_available']} threads available, GPU {result.environment['gpu']}",
        style="bold",
    )
    base = result.base
    table = _table(
        "engine", "batch", "threads", "compute ms", "end_to_end ms", "pipeline ms", "times faster", "first s", "peak MB", "note", left=1
    )
    table.columns[-1].justify = "left"
    for row in result.rows:
        name = escape(row.title if len(models) == 1 else f"{row.title} {row.model}")
        if row.status != "ok":
            table.add_row(name, str(row.batch), str(row.threads), *[""] * 6, Text(f"{row.status}: {row.reason}", "yellow"))
            continue
        cells = [_time(row, region) for region in ("compute", "end_to_end", "pipeline")]
        first = row.cold["open_s"] + row.cold["first_inference_s"]
        peak = row.memory["peak_rss_over_before"] / 1e6
        table.add_row(
            name, str(row.batch), str(row.threads), *cells, _ratio(result, row), f"{first:.2f}", f"{peak:.0f}", _note(result, row)
        )
    console.print(table)
    if base is not None:
        before, after = (" ".join(map(str, load)) for load in (result.load_before, result.load_after))
        console.print(f"times faster: end_to_end against {base.title}, rows took turns in one run", style="dim")
        console.print("peak MB: resident memory over what it was before the model was opened", style="dim")
        console.print(f"load average {before} before, {after} after", style="dim")
        console.print(f"reproduce with: {escape(result.command)}", style="dim")


def _time(row: Row, region: str) -> str:
    if region not in row.regions:
        return ""
    s = row.regions[region].summary
    return f"{s.p50:.2f} ±{max(s.high - s.p50, s.p50 - s.low):.2f}"


def _ratio(result: Result, row: Row) -> str:
    if row is result.base:
        return "1 (base)"
    ratio = result.ratio(row, "end_to_end")
    if ratio is None:
        return ""
    if not ratio.differs:
        return f"no difference ({ratio.low:.2f} to {ratio.high:.2f})"
    return f"{ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _note(result: Result, row: Row) -> Text:
    notes = []
    if row.weights == "random":
        notes.append("random weights")
    if (more := result.memory_per_extra_image(row)) is not None:
        notes.append(f"{more / 1e6:.1f} MB a further image")
    if row.unstable:
        notes.append("UNSTABLE")
    return Text(", ".join(notes), "yellow" if row.unstable else "")
