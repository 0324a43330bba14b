"""Results as tables in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hrnet_deploy.cards import ModelCard

if TYPE_CHECKING:
    from rich.console import Console

    from hrnet_deploy.bench.result import Result, Row
    from hrnet_deploy.jobs.tune import Candidate, Tuned


def table_of(*columns: str, left: int = 1, title: str = "") -> Table:
    """Numbers to the right; the first `left` columns to the left."""
    table = Table(
        box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left", title_style="bold"
    )
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i < left else "right", no_wrap=i == 0, overflow="fold")
    return table


def verdict_of(passed: bool) -> Text:
    return Text("passed", "green") if passed else Text("FAILED", "bold red")


def model_table(console: Console, cards: Iterable[ModelCard]) -> None:
    table = table_of("card", "network", "input", "published", left=4)
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
    table = table_of("engine", "", "", left=3)
    for name, engine in found["engines"].items():
        state = Text("ready", "green") if not engine["missing"] else Text("not here", "yellow")
        table.add_row(name, state, escape(engine["missing"] or engine["title"]))
    for name, missing in found["extras"].items():
        state = Text("ready", "green") if not missing else Text("not here", "yellow")
        table.add_row(f"extra {name}", state, escape(missing))
    console.print()
    console.print(table)


def measured(console: Console, result: Result) -> None:
    """One line a row; what a column covers is in its name. Times are medians of a batch with 95% intervals."""
    cpu = result.environment["cpu"]
    models = sorted({r.model for r in result.rows})
    console.print(
        f"{escape(', '.join(models))} on {cpu['model']}, {cpu['threads_available']} threads available, GPU {result.environment['gpu']}",
        style="bold",
    )
    base = result.base
    table = table_of(
        "engine",
        "batch",
        "threads",
        "compute ms",
        "end_to_end ms",
        "pipeline ms",
        "times faster",
        "first s",
        "peak MB",
        "note",
        left=1,
    )
    table.columns[-1].justify = "left"
    for row in result.rows:
        name = escape(row.title if len(models) == 1 else f"{row.title} {row.model}")
        if row.status != "ok":
            table.add_row(
                name, str(row.batch), str(row.threads), *[""] * 6, Text(f"{row.status}: {row.reason}", "yellow")
            )
            continue
        cells = [_time(row, region) for region in ("compute", "end_to_end", "pipeline")]
        first = row.cold["open_s"] + row.cold["first_inference_s"]
        peak = row.memory["peak_rss_over_before"] / 1e6
        table.add_row(
            name,
            str(row.batch),
            str(row.threads),
            *cells,
            _ratio(result, row),
            f"{first:.2f}",
            f"{peak:.0f}",
            _note(result, row),
        )
    console.print(table)
    for sentence in result.gains():
        console.print(escape(sentence), style="bold")
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
    if (together := row.facts.get("requests", 1)) > 1:
        notes.append(f"{together} in flight, no latency")
    if note := row.facts.get("note"):
        notes.append(note)
    if (more := result.memory_per_extra_image(row)) is not None:
        notes.append(f"{more / 1e6:.1f} MB a further image")
    if row.unstable:
        notes.append("UNSTABLE")
    return Text(", ".join(notes), "yellow" if row.unstable else "")


def tuned(console: Console, done: Tuned) -> None:
    """The candidates, fastest first, those that beat all others in some respect marked; then what to do with it."""
    table = table_of("candidate", "threads", "end_to_end ms", "peak MB", "score", "difference (95% interval)", "")
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
            state = (
                Text("winner", "bold green")
                if c is done.winner
                else Text("Pareto", "green")
                if memory < best
                else Text("")
            )
            best = min(best, memory)
        table.add_row(c.title, str(c.threads), times, peak, score, drop, state)
    console.print(f"{done.card}: {len(done.candidates)} candidates in {done.seconds / 60:.1f} minutes", style="bold")
    console.print(table)
    console.print(_on_which_images(done.winner), style="dim")
    if done.faster_than_base is not None and done.result.base is not None:
        ratio = done.faster_than_base
        console.print(
            f"{ratio.ratio:.2f} times faster than {done.result.base.title} eager ({ratio.low:.2f} to {ratio.high:.2f})"
        )
    console.print(escape(done.verdict), style="bold")
    console.print(f"{escape(str(done.output))} is the winner; made and measured again by:", style="dim")
    for command in done.commands:
        console.print(f"  {escape(command)}", soft_wrap=True)


def _on_which_images(winner: Candidate) -> str:
    """What the scores of the table stand on, and what became of the winner's on other images."""
    if winner.figures is None or winner.verdict is None:
        return ""
    images = f"scores are of {winner.figures.images} images to choose by; on {winner.verdict.images} others the winner"
    verdict = winner.verdict
    if verdict.difference is None or verdict.interval is None:
        return f"{images} {verdict.distance.sentence}"
    low, high = verdict.interval
    return f"{images} differs by {verdict.difference:+.2f} ({low:+.2f} to {high:+.2f})"
