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
    from hrnet_deploy.jobs.compare import Comparison
    from hrnet_deploy.jobs.export import Exported
    from hrnet_deploy.jobs.half import Halved
    from hrnet_deploy.jobs.quantize import Quantized
    from hrnet_deploy.jobs.run import Done
    from hrnet_deploy.jobs.tune import Tuned


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


def quantized(console: Console, done: Quantized) -> None:
    last = done.trials[-1]
    console.print(f"{done.card} in int8 for {done.target}", style="bold")
    console.print(
        f"{last.convolutions} convolutions, {done.tensors} tensors, ranges by {done.method} from {done.images} images "
        f"({done.samples} inputs)",
        style="dim",
    )
    for warning in done.warnings:
        console.print(f"warning: {escape(warning)}", style="yellow")
    for image, (tensor, times) in list(done.outliers.items())[:5]:
        console.print(
            f"warning: {escape(image)} reaches {times:.0f} times the usual peak of {tensor}: left out of its range", style="yellow"
        )
    for tensor in done.silent[:5]:
        console.print(f"warning: {tensor} was silent on every image: its scale is a floor", style="yellow")
    if len(done.trials) > 1:
        table = _table("left in float", "convolutions in int8", f"{last.figures.metric} difference", left=1)
        for trial in done.trials:
            change = "" if trial.figures.difference is None else f"{trial.figures.difference:+.2f}"
            table.add_row(escape(", ".join(trial.excluded)) or "nothing", str(trial.convolutions), change)
        console.print(table)
    _tensors(console, last.figures.tensors)
    _moved(console, last.figures)
    _scores(console, last.figures)
    _checks(console, last.checks, "held-out images")
    if done.passed:
        console.print(f"{escape(str(done.path))}  {done.path.stat().st_size / 1e6:.1f} MB")
        return
    table = _table("quantizing this block alone", "SQNR dB")
    for block in done.blocks[:8]:
        table.add_row(escape(block.pattern), f"{block.sqnr_db:.1f}")
    console.print(table)
    worst = " ".join(f"--exclude '{b.pattern}'" for b in done.blocks[:2])
    console.print(f"nothing was written; try {escape(worst)}, or --max-drop to search")


def halved(console: Console, done: Halved) -> None:
    console.print(f"{done.card} in {'float16' if done.precision == 'fp16' else done.precision + ' and float16'}", style="bold")
    for tensor, peak in done.large[:8]:
        console.print(f"{escape(tensor)} reaches {peak:.0f}: too much for float16, left in float32", style="yellow")
    if done.kept:
        console.print(f"{len(done.kept)} operators stay in float32")
    _tensors(console, done.figures.tensors)
    _moved(console, done.figures)
    _checks(console, done.checks, "against the file it was made from")
    console.print(f"{escape(str(done.path))}  {done.path.stat().st_size / 1e6:.1f} MB" if done.passed else "nothing was written")


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


def compared(console: Console, done: Comparison) -> None:
    """One line a figure; what did not change is said to be so."""
    table = _table("", "figure", "base", "new", "change", "limit", "", left=2)
    table.columns[-1].justify = "left"
    for c in done.changes:
        share = "" if c.percent is None else f" ({c.percent:+.1f}%)"
        change = f"{c.change:+.4g} {c.unit}{share}" if c.real else "no difference"
        state = (
            Text("FAILED", "bold red") if c.failed else Text("worse", "yellow") if c.worse else Text("better", "green") if c.real else ""
        )
        table.add_row(escape(c.subject), c.name, f"{c.base:.4g}", f"{c.new:.4g}", change, c.limit, state)
    console.print(table)
    for path, subjects in ((done.base, done.only_base), (done.new, done.only_new)):
        if subjects:
            console.print(f"only in {escape(path)}: {escape('; '.join(subjects))}", style="dim")
    console.print(Text("comparison: ", "bold") + _verdict(done.passed))


def tuned(console: Console, done: Tuned) -> None:
    """The candidates, fastest first, those that beat all others in some respect marked; then what to do with it."""
    table = _table("candidate", "threads", "end_to_end ms", "peak MB", "score", "difference (95% interval)", "")
    table.columns[-1].justify = "left"
    best = float("inf")  # of memory, going from the fastest to the slowest
    for c in done.candidates:
        figures = c.figures
        score = "" if figures is None or figures.difference is None else f"{100 * figures.engine[figures.metric]:.2f}"
        drop = ""
        if figures is not None and figures.difference is not None and figures.interval is not None:
            drop = f"{figures.difference:+.2f} ({figures.interval[0]:+.2f} to {figures.interval[1]:+.2f})"
        times, peak, state = "", "", Text(f"out: {c.out}", "yellow")
        if c.accepted and c.row is not None and c.row.status == "ok":
            memory = c.row.memory["peak_rss_over_before"] / 1e6
            times, peak = _time(c.row, "end_to_end"), f"{memory:.0f}"
            state = Text("winner", "bold green") if c is done.winner else Text("Pareto", "green") if memory < best else Text("")
            best = min(best, memory)
        table.add_row(c.title, str(c.threads), times, peak, score, drop, state)
    console.print(f"{done.card}: {len(done.candidates)} candidates in {done.seconds / 60:.1f} minutes", style="bold")
    console.print(table)
    if done.faster_than_base is not None and done.result.base is not None:
        ratio = done.faster_than_base
        console.print(f"{ratio.ratio:.2f} times faster than {done.result.base.title} eager ({ratio.low:.2f} to {ratio.high:.2f})")
    console.print(escape(done.verdict), style="bold")
    console.print(f"{escape(str(done.output))} is the winner; made and measured again by:", style="dim")
    for command in done.commands:
        console.print(f"  {escape(command)}", soft_wrap=True)


def ran(console: Console, done: Done) -> None:
    """A line a stage, then what was measured."""
    table = _table("stage", "", "difference", "what moved", left=2)
    table.columns[-1].justify = "left"
    for stage in done.stages:
        report = stage.report
        task = report.get("task") or report.get("figures") or report["trials"][-1]["figures"]
        change = "" if task["difference"] is None else f"{task['difference']:+.2f} {task['metric']}"
        table.add_row(escape(stage.name), _verdict(stage.passed), change, escape(task["distance"]["sentence"]))
    console.print(table)
    console.print()
    measured(console, done.result)
    console.print(f"every file and report is in {escape(str(done.folder))}", style="dim")
