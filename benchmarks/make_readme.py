"""Make README.md and its pictures from the results in this folder: `python benchmarks/make_readme.py`.

The prose is in `README.in.md`. A comment on a line of its own is a marker, which is replaced by what the results say:

    <!-- files -->                  every result file with its kind and its command
    <!-- machines -->               where the results were measured
    <!-- bench latency rows -->     the sections with these keys of every result of a kind, under their headings
    <!-- some.json methods -->      the sections with these keys of one file, without headings

Run it after a result or the prose has changed. With `--page FILE.html` it makes a page of all results instead.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER)]

import compiler_result  # noqa: E402, F401  (these four register the kinds of this folder's own scripts)
import gpu_result  # noqa: E402, F401
import int8_accuracy_result  # noqa: E402, F401
import int8_speed_result  # noqa: E402, F401

from hrnet_deploy.errors import BadInput  # noqa: E402
from hrnet_deploy.files import atomic_write  # noqa: E402
from hrnet_deploy.results.base import Result  # noqa: E402
from hrnet_deploy.results.codec import read  # noqa: E402
from hrnet_deploy.results.document import Line, Section, Table  # noqa: E402
from hrnet_deploy.results.documents import alone, report  # noqa: E402
from hrnet_deploy.results.documents.provenance import machines  # noqa: E402
from hrnet_deploy.results.registry import KINDS  # noqa: E402
from hrnet_deploy.results.render.markdown import Pictures, section_parts  # noqa: E402
from hrnet_deploy.results.render.page import html_page  # noqa: E402

MARKER = re.compile(r"^<!-- (\S+)((?: \S+)*) -->$", re.MULTILINE)
PICTURES = "pictures"


def results_of(folder: Path) -> dict[str, Result]:
    """Every result of a folder that holds results/, by the name of its file."""
    return {p.name: read(p) for p in sorted((folder / "results").glob("*.json"))}


def section_of(result: Result, name: str) -> Section:
    """The document of a result as a section that names its file."""
    found = alone(result, name)
    return Section(f"{found.title} ({name})", found.elements, found.sections, found.key)


def make(folder: Path) -> tuple[str, dict[str, str]]:
    """The text, and the pictures by name, of a folder that holds README.in.md and results/."""
    results = results_of(folder)
    sections = {n: section_of(r, n) for n, r in results.items()}
    pictures = Pictures(PICTURES)

    def text(found: Sequence[Section | None], level: int = 3) -> str:
        parts = [p for s in found if s is not None for p in section_parts(s, level, pictures)]
        return "\n\n".join(parts) or "Not measured here yet."

    def filled(marker: re.Match[str]) -> str:
        name, keys = marker[1], marker[2].split()
        if name == "files":
            rows: list[Line] = [[n, r.kind, r.command] for n, r in results.items()]
            return text([Section("", [Table("Result files", ["file", "kind", "made by"], rows, "lll")])])
        if name == "machines":
            return text([machines(results.items()).untitled()])
        if name in KINDS:
            return text([sections[n].only(keys) for n, r in results.items() if r.kind == name])
        if name not in sections or sections[name].only(keys) is None:
            raise BadInput(
                f"README.in.md: nothing is called {name} {' '.join(keys)} — name a kind or a result file, and its keys"
            )
        found = sections[name].only(keys)
        return text([found.untitled() if found else None])

    prose = (folder / "README.in.md").read_text(encoding="utf-8")
    return MARKER.sub(filled, prose), pictures.files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, help="make a page of all results instead")
    if (page := parser.parse_args().page) is not None:
        with atomic_write(page) as part:
            part.write_text(html_page(report(list(results_of(FOLDER).items()))), encoding="utf-8")
        return
    text, pictures = make(FOLDER)
    folder = FOLDER / PICTURES
    folder.mkdir(exist_ok=True)
    for name, svg in pictures.items():
        with atomic_write(folder / name) as part:
            part.write_text(svg, encoding="utf-8")
    for path in folder.glob("*.svg"):
        if path.name not in pictures:
            path.unlink()
    with atomic_write(FOLDER / "README.md") as part:
        part.write_text(text, encoding="utf-8")
    print(f"{FOLDER / 'README.md'} and {len(pictures)} pictures")


if __name__ == "__main__":
    main()
