"""compare and report: commands that read result files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import MEASURE, command, notes
from hrnet_deploy.cli.output import check_outputs, finish


@command(rich_help_panel=MEASURE)
def compare(
    base: Annotated[Path, typer.Argument(help="A result file, or a folder of result files.")],
    new: Annotated[Path, typer.Argument(help="Another result file of the same kind, or another folder.")],
    fail_on: Annotated[
        str,
        typer.Option(
            metavar="LIST", help="Limits on how much worse figures may become: ap=0.3,latency=5%,pixels=0.5,memory=10%."
        ),
    ] = "",
    output: options.Output = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Compare two results: which figures changed by more than noise.

    Two folders are compared file by file, by name, so that limits can apply to
    figures of several commands. Times differ if the 95% intervals of their
    medians do not overlap. Exits with 1 if a figure became worse by more than
    its limit.

    Example: hrnet-deploy compare main.json branch.json --fail-on latency=5%
    """
    from hrnet_deploy.jobs.compare import CompareRequest
    from hrnet_deploy.jobs.compare import compare as job

    check_outputs(force, output)
    finish(job(CompareRequest(base, new, fail_on)), json, output)


@command(rich_help_panel=MEASURE)
def report(
    results: Annotated[list[Path], typer.Argument(metavar="FILE", help="Result files of any command, as JSON.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The page: a name that ends in .html or .md.")],
    compare: Annotated[
        bool,
        typer.Option("--compare", help="With two results: begin with the figures that changed by more than noise."),
    ] = False,
    pictures: Annotated[Path | None, typer.Option(help="With .md: the folder for its charts, as SVG files.")] = None,
    title: Annotated[str, typer.Option(help="The page's title.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Write one page about results: tables, charts and their origin.

    The page is a single file that loads nothing and runs nothing. It can be
    read on a phone, in print, and in light and dark mode.

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
            "--pictures is for Markdown, and a page contains its pictures — leave it out, or name an output that ends "
            "in .md"
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
