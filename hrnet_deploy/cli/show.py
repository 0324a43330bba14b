"""report: results as a page or as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli.app import MEASURE, command, notes


@command(rich_help_panel=MEASURE)
def report(
    results: Annotated[list[Path], typer.Argument(help="Result files of any command, as JSON.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page: a name that ends in .html or .md.")],
    compare: Annotated[
        bool, typer.Option("--compare", help="With two results, begin with what really changed.")
    ] = False,
    pictures: Annotated[Path | None, typer.Option(help="With .md: the folder for its charts, as SVG files.")] = None,
    title: Annotated[str, typer.Option(help="The page's title.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """One self-contained page of any results: tables, charts, provenance.

    The page loads nothing and runs nothing; it reads on a phone, in print,
    light and dark.

    Example: hrnet-deploy report bench.json check.json -o page.html
    """
    from hrnet_deploy.errors import BadInput
    from hrnet_deploy.files import atomic_write, check_output
    from hrnet_deploy.jobs.compare import CompareRequest
    from hrnet_deploy.jobs.compare import compare as compared
    from hrnet_deploy.results import codec, documents
    from hrnet_deploy.results.render.markdown import Pictures, markdown, relative
    from hrnet_deploy.results.render.page import html_page

    kind = output.suffix.lower()
    if kind not in (".html", ".htm", ".md"):
        raise BadInput(f"{output} is neither a page nor Markdown — name a file that ends in .html or .md")
    if pictures is not None and kind != ".md":
        raise BadInput(
            "--pictures is for Markdown; a page holds its own — leave it out, or name an output that ends in .md"
        )
    if pictures is not None and pictures.exists() and not pictures.is_dir():
        raise BadInput(f"{pictures} is a file — name a folder")
    if compare and len(results) != 2:
        raise BadInput(f"--compare takes two results, not {len(results)} — name the base and the new one")
    check_output(output, force)
    found = [(path.name, codec.read(path)) for path in results]
    changes = compared(CompareRequest(results[0], results[1])) if compare else None
    made = documents.report(found, title, changes)
    drawn = Pictures(relative(pictures, output.parent) if pictures else None)
    text = markdown(made, drawn) if kind == ".md" else html_page(made)
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        for name in drawn.files:
            check_output(pictures / name, force)
        for name, svg in drawn.files.items():
            with atomic_write(pictures / name) as part:
                part.write_text(svg, encoding="utf-8")
    with atomic_write(output) as part:
        part.write_text(text, encoding="utf-8")
    count = f" and {len(drawn.files)} pictures in {pictures}" if pictures else ""
    notes().print(f"{output}{count}", markup=False)
