"""The documents of `quantize` and of its table of blocks."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_deploy.results.charts import Bar, Bars, Group
from hrnet_deploy.results.document import Cell, Document, Element, Line, Table, Text
from hrnet_deploy.results.documents.figures import agreement, difference, file_line, limits, task
from hrnet_deploy.results.documents.provenance import origin
from hrnet_deploy.results.quantization import (
    BlockCost,
    QuantizeResult,
    SensitivityResult,
    SpeedComparison,
    Trial,
    is_excluded,
    worst_first,
)
from hrnet_deploy.results.wording import PARTS, counted, ms, sentence, signed

FEW, MOST = 8, 16  # how many entries of a long list, and how many bars of a chart, are shown
SUGGESTED = 2  # how many blocks to exclude are suggested after a failure
JUDGED = {"test": "on the test set", "validation": "on the validation set"}


def document(result: QuantizeResult, name: str) -> Document:
    """The verdict, the steps of the search, the differences, and what each block costs alone."""
    last = result.trials[-1]
    model, where = f"{result.card} in int8 for {result.target}", f", {JUDGED[last.on]}"
    found: list[Element] = [
        agreement(result.passed, last.checks, model, "the float32 file", where),
        file_line(result.path, result.size),
    ]
    if not result.passed:
        found.append(_cure(result))
    of = f" of {result.convolutions}" if result.convolutions else ""
    how = f"{last.convolutions}{of} convolutions and {counted(result.tensors, 'tensor')} are int8; "
    how += f"ranges by {result.method} from {counted(result.images, 'image')} ({counted(result.samples, 'input')})."
    found.append(Text(how, "note"))
    found += _warnings(result)
    if len(result.trials) > 1:
        found += _search(result.trials)
    found += [*task(last.figures), *limits(last.checks)]
    if (left := result.convolutions - last.convolutions) > 0:
        found.append(Text(f"Convolutions left in float: {left} of {result.convolutions}."))
    found += speed(result.speed)
    if result.blocks:
        found.append(block_chart(marked(result).blocks, f"Blocks quantized alone ({result.target})", MOST))
    return Document(f"{result.card}: int8 for {result.target}", found, [origin(result, name)])


def _cure(result: QuantizeResult) -> Text:
    """What to try after a failure."""
    searched = len(result.trials) > 1
    if searched and result.trials[-1].on == "test":
        text = (
            "The file that passed on the validation set failed on the test set: give more images, or a larger "
            "--max-drop."
        )
        return Text(text, "warning")
    worst = " ".join(f"--exclude '{b.pattern}'" for b in result.worst[:SUGGESTED])
    search = "a larger --max-drop" if searched else "a search with --max-drop"
    return Text(f"Try {worst}, or {search}." if worst else f"Try {search}.", "warning")


def _warnings(result: QuantizeResult) -> list[Element]:
    texts = [f"Warning: {w}" for w in result.warnings]
    texts += [
        f"Warning: {image} reaches {peak:.0f} times the usual peak of {tensor}, so this image is ignored for that "
        "tensor's range"
        for image, (tensor, peak) in list(result.outliers.items())[:FEW]
    ]
    if more := len(result.outliers) - FEW:
        texts += [f"Warning: {more} more images are outliers of some tensor"] if more > 0 else []
    if result.all_zero:
        names = ", ".join(result.all_zero[:FEW])
        more_names = f" and {len(result.all_zero) - FEW} more" if len(result.all_zero) > FEW else ""
        texts.append(f"Warning: zero on every image, so a smallest allowed scale is used: {names}{more_names}")
    return [Text(sentence(t), "warning") for t in texts]


def sensitivity(result: SensitivityResult, name: str) -> Document:
    """The table of `quantize --sensitivity`."""
    written = "was written" if result.written else "was not written, because it lost too much"
    how = Text(f"Ranges by {result.method}; the int8 file {written}.", "note")
    chart = block_chart(result.blocks, f"Blocks quantized alone ({result.target})", MOST)
    title = f"{result.card}: what each block costs in int8 for {result.target}"
    return Document(title, [how, chart, *speed(result.speed)], [origin(result, name)])


def marked(result: QuantizeResult) -> SensitivityResult:
    """The table of blocks of a result, in which blocks left in float are marked."""
    excluded = result.trials[-1].excluded
    blocks = [BlockCost(b.pattern, b.convolutions, b.sqnr_db, is_excluded(b.pattern, excluded)) for b in result.blocks]
    return SensitivityResult(
        command=result.command,
        started=result.started,
        environment=result.environment,
        card=result.card,
        target=result.target,
        method=result.method,
        written=result.passed,
        blocks=blocks,
        speed=result.speed,
    )


def block_chart(blocks: Sequence[BlockCost], title: str, most: int | None = None) -> Bars:
    """Signal to quantization noise ratio by block, the most costly first; with `most`, only that many of them."""
    ordered = worst_first(blocks)
    shown = ordered[:most]
    if len(shown) < len(ordered):
        title = f"{title}: the {len(shown)} that cost most, of {len(ordered)}"
    if kept := sum(b.in_float for b in ordered):
        title = f"{title}, left in float ({kept} of {len(ordered)})"
    bars = [_block(b) for b in shown]
    return Bars(title, "SQNR of the outputs in dB with this block alone in int8; less is worse", [Group("", bars)])


def _block(block: BlockCost) -> Bar:
    name = f"{block.pattern}, left in float" if block.in_float else block.pattern
    if block.sqnr_db is None:
        return Bar(name, 0.0, "nothing changes", faint=True)
    return Bar(name, block.sqnr_db, f"{block.sqnr_db:.1f} dB", tone="fp32" if block.in_float else "int8")


def speed(found: SpeedComparison | None) -> list[Element]:
    """The speed of the file compared with float and with all int8, if it was measured."""
    if found is None:
        return []
    if found.missing or found.over_float is None:
        return [Text(sentence(f"Speed was not measured: {found.missing or 'unknown reason'}"), "note")]
    gain = found.over_float
    texts = [f"The file is {gain.ratio:.2f} times faster than float ({gain.low:.2f} to {gain.high:.2f})."]
    if found.over_int8 is not None:
        cost, low, high = (100 * (v - 1) for v in (found.over_int8.ratio, found.over_int8.low, found.over_int8.high))
        texts.append(
            f"The float blocks change latency by {cost:+.1f}% compared with all int8 ({low:+.1f} to {high:+.1f}%)."
        )
    tones = {"float": "fp32", "all int8": "int8"}
    bars = [Bar(n, v, f"{ms(v)} ms", tone=tones.get(n, "plain")) for n, v in found.milliseconds.items()]
    chart = Bars(f"Speed in {found.engine}", "ms per batch; less is better", [Group("", bars)])
    return [*(Text(t) for t in texts), *([chart] if bars else [])]


def _search(trials: Sequence[Trial]) -> list[Element]:
    rows: list[Line] = []
    bars: list[Bar] = []
    for t in trials:
        figures = t.figures
        if figures.difference is not None and figures.interval is not None:
            low, high = figures.interval
            name = f"{t.convolutions} convolutions in int8, {PARTS[t.on]}"
            bars.append(Bar(name, figures.difference, signed(figures.difference), low, high, "int8"))
        images = Cell(str(figures.images), PARTS[t.on])
        rows.append([str(t.convolutions), ", ".join(t.excluded) or "nothing", images, difference(figures)])
    columns = ["convolutions in int8", "left in float", "images", "difference"]
    made: list[Element] = [Table("Every step of the search", columns, rows, "llrr")]
    if bars:
        axis = "points against float, 95% interval"
        title = "Difference of the score, trial by trial"
        made.append(Bars(title, axis, [Group("", bars)], dots=True, in_table=True))
    return made
