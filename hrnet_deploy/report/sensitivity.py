"""What quantizing each block alone costs, as a table in JSON or as a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import atomic_write, check_output, write_json

if TYPE_CHECKING:
    from hrnet_deploy.jobs.quantize import Quantized
    from hrnet_deploy.precision.search import Block

PICTURES = (".png", ".svg", ".pdf")
QUANTIZED, KEPT = "#4477aa", "#ee6677"  # told apart by colour-blind readers too
BAR = 0.17  # inches a block


def check_outputs(paths: Sequence[Path], force: bool) -> None:
    """Refuse before the work what could not be written after it."""
    for path in paths:
        if path.suffix not in (".json", *PICTURES):
            raise BadInput(
                f"--sensitivity {path} is neither a table nor a picture — name a .json, {', '.join(PICTURES)}"
            )
        if path.suffix in PICTURES:
            need("matplotlib", "report")
        check_output(path, force)


def write(path: Path, done: Quantized) -> None:
    """The table, or the picture, as the suffix says."""
    if path.suffix == ".json":
        write_json(path, table(done))
        return
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # letters stay letters, and the same table gives the same bytes
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": path.name}), atomic_write(path) as part:
        figure = Figure(figsize=(7.5, 1.4 + BAR * len(done.blocks)), layout="constrained")
        draw(figure, done)
        figure.savefig(
            part, format=path.suffix[1:], dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None
        )


def table(done: Quantized) -> dict[str, Any]:
    """Blocks in the order of the network; null where nothing changes at the outputs."""
    last = done.trials[-1]
    blocks = [{**vars(b), "in_float": in_float(b, last.excluded)} for b in done.blocks]
    facts = {"card": done.card, "target": done.target, "method": done.method, "written": done.passed}
    speed = dataclasses.asdict(done.speed) if done.speed else None
    return {"schema": 1, "kind": "sensitivity", **facts, "blocks": blocks, "speed": speed}


def in_float(block: Block, excluded: Sequence[str]) -> bool:
    return any(block.pattern == e or fnmatch(block.pattern, e) for e in excluded)


def draw(figure: Any, done: Quantized) -> None:
    """A bar a block, as long as the error it alone makes; its SQNR beside it; what stayed in float in another colour."""
    axes = figure.subplots()
    excluded = done.trials[-1].excluded
    kept = [b for b in done.blocks if in_float(b, excluded)]
    errors = [100 * 10 ** (-b.sqnr_db / 20) for b in done.blocks]
    axes.barh(range(len(errors)), errors, height=0.72, color=[KEPT if b in kept else QUANTIZED for b in done.blocks])
    for row, (block, error) in enumerate(zip(done.blocks, errors, strict=True)):
        said = f"{block.sqnr_db:.1f} dB" if error else "nothing changes"
        axes.annotate(said, (error, row), (3, 0), textcoords="offset points", va="center", fontsize=6)
    axes.set_yticks(range(len(done.blocks)), [b.pattern for b in done.blocks], fontsize=6.5, family="monospace")
    axes.set_ylim(len(done.blocks) - 0.4, -0.6)
    axes.set_xlim(0, 1.08 * max(errors, default=1.0))
    axes.set_xlabel(
        "error at the outputs with this block alone in int8, % of the signal (root mean square)", fontsize=8
    )
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_title(f"{done.card}: what each block costs in int8 for {done.target}", fontsize=9.5, loc="left")
    if kept:
        axes.barh(0, 0, color=KEPT, label=f"left in float ({len(kept)} of {len(done.blocks)})")
        axes.barh(0, 0, color=QUANTIZED, label="int8")
        axes.legend(loc="best", fontsize=7)
