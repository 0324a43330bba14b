"""The cost table in a terminal: a network a line, the paper's figures beside this machine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from hrnet_deploy.report.terminal import table_of

if TYPE_CHECKING:
    from rich.console import Console

NONE = "–"


def suite(console: Console, found: Mapping[str, Any]) -> None:
    """Seconds an image and memory in GB; training where it was measured; why a network has no figures."""
    engines = _engines(found)
    table = table_of(
        "network", "input", "paper s", "static", *(f"{e} s" for e in engines), "paper GB", "torch GB", left=2
    )
    for column in found["columns"]:
        paper = column["paper"]
        cells = [_seconds(column, engine) for engine in engines]
        eager: Mapping[str, Any] = next(
            (r for r in (column["result"] or {}).get("rows", ()) if r["engine"].partition(":")[0] == "torch"), {}
        )
        memory = eager.get("memory", {}).get("peak_rss_over_before")
        table.add_row(
            column["name"],
            column["input_size"],
            _number(paper["inference_s"]),
            _number(paper["inference_static_s"]),
            *cells,
            _number(paper["inference_memory_gb"], 2),
            _number(memory / 1e9 if memory else None, 2),
        )
    console.print(table)
    _training(console, found)
    for column in found["columns"]:
        if column["reason"]:
            console.print(f"[yellow]{column['name']}[/yellow]: {escape(column['reason'])}")
        for row in (column["result"] or {}).get("rows", ()):
            if row["status"] != "ok":
                console.print(f"[yellow]{column['name']}, {escape(_title(row))}[/yellow]: {escape(row['reason'])}")
    weights = {r["weights"] for c in found["columns"] for r in (c["result"] or {}).get("rows", ())}
    hardware = found["columns"][0]["paper"]["hardware"]
    machine = found["environment"]["cpu"]["model"]
    console.print(
        f"paper: {hardware['inference']} and {hardware['software']}, static {hardware['static']}; here: {machine}, "
        f"{found['settings']['threads']} threads, {' and '.join(sorted(weights)) or 'no'} weights; median seconds an image"
    )
    if found["settings"]["quick"]:
        console.print("[yellow]a quick look at small inputs: nothing here can be held against the paper[/yellow]")


def _training(console: Console, found: Mapping[str, Any]) -> None:
    if not any(c["training"] for c in found["columns"]):
        return
    table = table_of(
        "training", "input", "batch", "s a step", "s an image", "GB", "paper batch", "paper s", "paper GB", left=2
    )
    for column in found["columns"]:
        paper = column["paper"]
        for row in (column["training"] or {"rows": ()})["rows"]:
            each = row["seconds"] / row["batch"]
            ok = row["status"] == "ok"
            cells = (
                [_number(row["seconds"], 2), _number(each, 2), _number(row["peak_bytes"] / 1e9, 2)]
                if ok
                else [escape(row["reason"]), "", ""]
            )
            theirs = [
                str(paper["training_batch"]),
                _number(paper["training_s"]),
                _number(paper["training_memory_gb"], 1),
            ]
            table.add_row(column["name"], row["input_size"], str(row["batch"]), *cells, *theirs)
    console.print()
    console.print(table)


def _engines(found: Mapping[str, Any]) -> list[str]:
    rows = (r for c in found["columns"] for r in (c["result"] or {}).get("rows", ()))
    return list(dict.fromkeys(_title(r) for r in rows))


def _title(row: Mapping[str, Any]) -> str:
    return row["engine"] if row["precision"] in row["engine"] else f"{row['engine']} {row['precision']}"


def _row(column: Mapping[str, Any], title: str) -> Mapping[str, Any]:
    return next((r for r in (column["result"] or {}).get("rows", ()) if _title(r) == title), {})


def _seconds(column: Mapping[str, Any], title: str) -> str:
    row = _row(column, title)
    if row.get("status") != "ok":
        return row.get("status", NONE)
    mark = "?" if row["unstable"] else ""
    return _number(row["regions"]["compute"]["milliseconds"]["p50"] / 1e3) + mark


def _number(value: float | None, digits: int = 3) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
