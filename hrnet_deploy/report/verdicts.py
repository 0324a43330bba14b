"""Verdicts in a terminal: what moved, by how much, and whether it is too much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.text import Text

from hrnet_deploy.report.terminal import measured, table_of, verdict_of
from hrnet_deploy.results.figures import Check, TaskFigures, TensorFigures, all_passed
from hrnet_deploy.results.wording import PARTS

if TYPE_CHECKING:
    from rich.console import Console

    from hrnet_deploy.jobs.build import Built
    from hrnet_deploy.jobs.check import Report
    from hrnet_deploy.jobs.evaluate import Evaluated
    from hrnet_deploy.jobs.export import Exported
    from hrnet_deploy.jobs.half import Halved
    from hrnet_deploy.jobs.quantize import Quantized
    from hrnet_deploy.jobs.run import Done


def exported(console: Console, done: Exported) -> None:
    console.print(escape(done.summary), style="bold")
    card = done.description.card
    if done.assumption:
        console.print(escape(done.assumption), style="yellow")
    simplified = done.description.step("simplify")
    if simplified and not simplified["applied"]:
        console.print(f"not simplified: {escape(simplified['reason'])}", style="yellow")
    console.print(
        f"{escape(str(done.path))}  {done.path.stat().st_size / 1e6:.1f} MB, card {card.name}, input {card.input.size}"
    )
    _tensors(console, [*done.tensors, *done.task.tensors])
    _moved(console, done.task)
    _checks(console, done.checks, f"{done.engine['name']} ({done.engine['threads']} threads) verified against PyTorch")


def built(console: Console, done: Built) -> None:
    manifest, info = done.manifest, done.info
    console.print(
        f"{escape(done.output)}  {done.size / 1e6:.1f} MB, built in {manifest.build_seconds:.0f} s", style="bold"
    )
    identity = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in manifest.identity.items())
    console.print(f"fits TensorRT {manifest.tensorrt}, {identity}", style="dim")
    for name, bounds in manifest.profiles.items():
        console.print(f"{name} {' : '.join('x'.join(map(str, b)) for b in bounds)} (least, tuned for, most)")
    if manifest.layers:
        console.print("layers: " + ", ".join(f"{n} {kind}" for kind, n in manifest.layers.items()))
    console.print(", ".join(f"{k} {v / 1e6:.1f} MB" for k, v in info.memory.items()))
    if info.note:
        console.print(f"warning: {info.note}", style="yellow")


def checked(console: Console, report: Report) -> None:
    console.print(f"{escape(report.model)} ({report.precision}) against {escape(report.against)}", style="bold")
    console.print(
        f"engine {report.engine} ({report.engine_info.summary}); images: {escape(report.images)}; flip test: {'yes' if report.flip_test else 'no'}",
        style="dim",
    )
    if report.warning:
        console.print(f"warning: {report.warning}", style="yellow")
    _tensors(console, [*report.tensors, *report.task.tensors])
    _moved(console, report.task)
    _scores(console, report.task)
    _checks(console, report.checks, "parity")
    if report.first:
        console.print(f"first tensor that differs: {escape(report.first)}", style="red")


def evaluated(console: Console, done: Evaluated) -> None:
    console.print(
        f"{escape(done.model)} ({done.precision}) in {done.engine}: {done.metric} {100 * done.figures[done.metric]:.2f}",
        style="bold",
    )
    table = table_of(*done.figures, left=0)
    table.add_row(*(f"{100 * v:.2f}" for v in done.figures.values()))
    console.print(table)
    how = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in done.protocol.items())
    where = " ".join(f"{v[:16] if k == 'sha256' else v}" for k, v in done.annotations.items())
    console.print(
        f"{done.images} images of {escape(done.data)}, annotations {escape(where)}; {escape(how)}", style="dim"
    )
    if done.published:
        console.print(f"published of these weights: {done.published}", style="dim")


def quantized(console: Console, done: Quantized) -> None:
    last = done.trials[-1]
    console.print(f"{done.card} in int8 for {done.target}", style="bold")
    console.print(
        f"{last.convolutions} of {done.convolutions} convolutions, {done.tensors} tensors, ranges by {done.method} from "
        f"{done.images} images ({done.samples} inputs)",
        style="dim",
    )
    for warning in done.warnings:
        console.print(f"warning: {escape(warning)}", style="yellow")
    for image, (tensor, times) in list(done.outliers.items())[:5]:
        console.print(
            f"warning: {escape(image)} reaches {times:.0f} times the usual peak of {tensor}: left out of its range",
            style="yellow",
        )
    for tensor in done.all_zero[:5]:
        console.print(f"warning: {tensor} was all_zero on every image: its scale is a floor", style="yellow")
    if len(done.trials) > 1:
        table = table_of(
            "left in float", "convolutions in int8", f"{last.figures.metric} difference", "on images", left=1
        )
        for trial in done.trials:
            change = "" if trial.figures.difference is None else f"{trial.figures.difference:+.2f}"
            images = f"{trial.figures.images} {PARTS[trial.on]}"
            table.add_row(escape(", ".join(trial.excluded)) or "nothing", str(trial.convolutions), change, images)
        console.print(table)
    _tensors(console, last.figures.tensors)
    _moved(console, last.figures)
    _scores(console, last.figures)
    _checks(console, last.checks, "images nothing was chosen by" if last.on == "test" else "images to choose by")
    if done.speed is not None:
        console.print(
            f"{done.convolutions - last.convolutions} of {done.convolutions} convolutions in float; {escape(done.speed.sentence)}"
        )
    if done.passed:
        console.print(f"{escape(str(done.path))}  {done.path.stat().st_size / 1e6:.1f} MB")
        return
    table = table_of("quantizing this block alone", "SQNR dB")
    for block in done.worst[:8]:
        table.add_row(escape(block.pattern), f"{block.sqnr_db:.1f}")
    console.print(table)
    worst = " ".join(f"--exclude '{b.pattern}'" for b in done.worst[:2])
    if len(done.trials) > 1 and last.on == "test":
        console.print(
            "nothing was written: what fits the images it was chosen by does not fit others; give more images, or a larger --max-drop"
        )
    else:
        console.print(
            f"nothing was written; try {escape(worst)}, or {'a larger' if len(done.trials) > 1 else 'a search with'} --max-drop"
        )


def halved(console: Console, done: Halved) -> None:
    console.print(
        f"{done.card} in {'float16' if done.precision == 'fp16' else done.precision + ' and float16'}", style="bold"
    )
    for tensor, peak in done.large[:8]:
        console.print(f"{escape(tensor)} reaches {peak:.0f}: too much for float16, left in float32", style="yellow")
    if done.kept:
        console.print(f"{len(done.kept)} operators stay in float32")
    _tensors(console, done.figures.tensors)
    _moved(console, done.figures)
    _checks(console, done.checks, "against the file it was made from")
    console.print(
        f"{escape(str(done.path))}  {done.path.stat().st_size / 1e6:.1f} MB" if done.passed else "nothing was written"
    )


def _tensors(console: Console, figures: Sequence[TensorFigures]) -> None:
    if not figures:
        return
    table = table_of("output", "on", "max", "relative", "cosine", "SQNR dB", left=2)
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
    table = table_of(*("", *task.reference))
    for name, scores in (("reference", task.reference), ("engine", task.engine)):
        table.add_row(name, *(f"{100 * v:.2f}" for v in scores.values()))
    console.print(table)
    low, high = task.interval
    source = ", ".join(f"{k} {str(v)[:16]}" for k, v in task.protocol.items())
    console.print(
        f"{task.metric} difference {task.difference:+.3f} points, 95% interval {low:+.3f} to {high:+.3f}  [dim]({escape(source)})[/dim]"
    )


def _checks(console: Console, checks: Sequence[Check], what: str) -> None:
    verdict = all_passed(checks)
    for check in checks:
        if not check.passed:
            console.print(f"  {escape(check.name)}: {check.value:.4g}, limit {check.limit:.4g}", style="red")
    within = Text(f" ({len(checks)} figures within their limits)" if verdict else "")
    console.print(Text(f"{what}: ", "bold") + verdict_of(verdict) + within)


def ran(console: Console, done: Done) -> None:
    """A line a stage, then what was measured."""
    table = table_of("stage", "", "difference", "what moved", left=2)
    table.columns[-1].justify = "left"
    for stage in done.stages:
        report = stage.report
        task = report.get("task") or report.get("figures") or report["trials"][-1]["figures"]
        change = "" if task["difference"] is None else f"{task['difference']:+.2f} {task['metric']}"
        table.add_row(escape(stage.name), verdict_of(stage.passed), change, escape(task["distance"]["sentence"]))
    console.print(table)
    console.print()
    measured(console, done.result)
    console.print(f"every file and report is in {escape(str(done.folder))}", style="dim")
