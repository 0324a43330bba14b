"""The Markdown documents of the repository: their code blocks, what must be run of them, and their links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.interpreter import ROOT

PATTERNS = ("*.md", "docs/**/*.md", "examples/*.md", "models/*.md", "benchmarks/README.md", ".github/**/*.md")
DOCUMENTS = sorted({p for pattern in PATTERNS for p in ROOT.glob(pattern)})
RUN = {"sh", "yaml", "python"}  # languages of blocks that are run
MARKER = re.compile(r"<!--\s*(not run|may exit 1|needs):\s*(.+?)\s*-->\s*$")
FENCE = re.compile(r"^( *)```(\w*)\s*$")


@dataclass(frozen=True)
class Block:
    """One fenced code block.

    Attributes:
        document: the file; line: where the block begins in it, counted from 1.
        language: what stands behind the fence.
        text: the content.
        marker, reason: of the comment in the line before, for example "not run" and "needs an NVIDIA GPU".
    """

    document: Path
    line: int
    language: str
    text: str
    marker: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in RUN and self.marker != "not run"

    @property
    def script(self) -> str:
        """What a shell runs of a block: the block itself, or the `run:` steps of a workflow."""
        if self.language != "yaml":
            return self.text
        return "\n".join(re.findall(r"^\s*- run: (.+)$", self.text, re.M)) + "\n"

    @property
    def command_lines(self) -> list[str]:
        """Each line that calls hrnet-deploy, without its remark."""
        joined = self.script.replace("\\\n", " ")
        return [line.strip() for line in joined.splitlines() if line.lstrip().startswith("hrnet-deploy ")]


def blocks_of(document: Path) -> list[Block]:
    """The code blocks of a document, in order."""
    found: list[Block] = []
    marker = reason = ""
    lines = iter(enumerate(document.read_text(encoding="utf-8").splitlines(), start=1))
    for number, line in lines:
        if fence := FENCE.match(line):
            content = []
            for _, inner in lines:
                if inner.strip() == "```":
                    break
                content.append(inner.removeprefix(fence[1]))
            found.append(Block(document, number, fence[2], "\n".join(content) + "\n", marker, reason))
            marker = reason = ""
        elif said := MARKER.match(line.strip()):
            marker, reason = said[1], said[2]
        elif line.strip():
            marker = reason = ""
    return found


def links_of(document: Path) -> Iterator[tuple[str, str]]:
    """Each relative link of a document: the file and the anchor, either of which may be empty."""
    text = re.sub(r"^ *```.*?^ *```$", "", document.read_text(encoding="utf-8"), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor


def anchors_of(document: Path) -> set[str]:
    """The anchors of the headings of a document, as both GitHub and mkdocs make them."""
    text = re.sub(r"^ *```.*?^ *```$", "", document.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
