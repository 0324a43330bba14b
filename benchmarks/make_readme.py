"""README.md and its pictures, of the results that are here: `python benchmarks/make_readme.py`.

The prose is `README.in.md`. A comment on a line of its own is a marker, and what results say takes its place:

    <!-- files -->                  every result file, what it is and its command
    <!-- machines -->               where results were measured
    <!-- bench latency rows -->     of every result of a kind the sections of some keys, under their headings
    <!-- some.json methods -->      of one file, without headings

Run it after a result or the prose has changed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from hrnet_deploy.errors import BadInput  # noqa: E402
from hrnet_deploy.files import atomic_write  # noqa: E402
from hrnet_deploy.report.document import Section, Table  # noqa: E402
from hrnet_deploy.report.markdown import Pictures, section_parts  # noqa: E402
from hrnet_deploy.report.sections import KINDS, read, section_of  # noqa: E402
from hrnet_deploy.report.sections.provenance import machines  # noqa: E402

MARKER = re.compile(r"^<!-- (\S+)((?: \S+)*) -->$", re.MULTILINE)
PICTURES = "pictures"


def make(folder: Path) -> tuple[str, dict[str, str]]:
    """The text, and the pictures by name, of a folder that holds README.in.md and results/."""
    results = {p.name: read(p) for p in sorted((folder / "results").glob("*.json"))}
    sections = {n: section_of(v, folder / "results" / n, n) for n, v in results.items()}
    pictures = Pictures(PICTURES)

    def text(found: Sequence[Section | None], level: int = 3) -> str:
        parts = [p for s in found if s is not None for p in section_parts(s, level, pictures)]
        return "\n\n".join(parts) or "Not measured here yet."

    def filled(marker: re.Match[str]) -> str:
        name, keys = marker[1], marker[2].split()
        if name == "files":
            rows: list = [[n, str(v["kind"]), str(v.get("command", ""))] for n, v in results.items()]
            return text([Section("", [Table("Result files", ["file", "kind", "made by"], rows, "lll")])])
        if name == "machines":
            return text([machines(results.items()).untitled()])
        if name in KINDS:
            return text([sections[n].only(keys) for n, v in results.items() if v["kind"] == name])
        if name not in sections or sections[name].only(keys) is None:
            raise BadInput(
                f"README.in.md: nothing is called {name} {' '.join(keys)} — name a kind or a result file, and keys it has"
            )
        found = sections[name].only(keys)
        return text([found.untitled() if found else None])

    prose = (folder / "README.in.md").read_text(encoding="utf-8")
    return MARKER.sub(filled, prose), pictures.files


def main() -> None:
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
