"""Hooks of mkdocs: pages that are generated from the code, and pages that are written for the repository.

mkdocs calls the functions `on_...`. Two kinds of page are added to those in `docs/`: the command reference and the API,
which are generated here, and documents of the repository (`INCLUDED`), whose links are rewritten for the site.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

from error_table import error_page  # noqa: E402  (mkdocs does not put docs/ on the path)
from site_pages import api_pages, command_reference  # noqa: E402

DOCS = "docs"
INCLUDED = (  # documents of the repository that are pages of the site too, under the same path
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/README.md",
    "models/README.md",
)
PICTURES = ("benchmarks/pictures/*.svg", "models/demo/picture.png")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, the included documents and their pictures."""
    from mkdocs.structure.files import File

    generated = {
        "errors.md": error_page(),
        "reference/commands.md": command_reference(),
        **api_pages(ROOT / "hrnet_deploy"),
    }
    for path, text in generated.items():
        files.append(File.generated(config, path, content=text))
    for path in INCLUDED:
        files.append(File.generated(config, path, content=(ROOT / path).read_text(encoding="utf-8")))
    for pattern in PICTURES:
        for picture in sorted(ROOT.glob(pattern)):
            name = picture.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they work in the repository, rewritten as they work on the site."""
    path = page.file.src_uri
    known = {f.src_uri for f in files}
    return site_links(markdown, path if path in INCLUDED else f"{DOCS}/{path}", known)


def site_links(markdown: str, path: str, known: set[str]) -> str:
    """Rewrite the relative links of one document.

    Args:
        markdown: the text of the document.
        path: where the document lies in the repository, for example "docs/measuring.md".
        known: the paths of all files of the site.

    Returns:
        The text with links between pages of the site. A link to a file that is not on the site becomes its text alone.
    """
    here = posixpath.dirname(_on_site(path))

    def rewritten(found: re.Match[str]) -> str:
        picture, text, target, anchor = found[1], found[2], found[3], found[4] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        wanted = _on_site(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
        if wanted in known:
            return f"{picture}[{text}]({posixpath.relpath(wanted, here or '.')}{anchor})"
        return text

    return LINK.sub(rewritten, markdown)


def _on_site(path: str) -> str:
    """The path of a page on the site, from its path in the repository."""
    return path.removeprefix(f"{DOCS}/")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill in the folders of the navigation, and watch what is included (for `mkdocs serve`)."""
    folders = {
        "decisions/": _decisions(),
        "reference/api/": list(api_pages(ROOT / "hrnet_deploy")),
    }
    if config.nav is not None:
        config.nav = _filled(config.nav, folders)
    config.watch += [str(ROOT / "hrnet_deploy"), *(str(ROOT / p) for p in INCLUDED)]
    return config


def _decisions() -> list[str]:
    paths = sorted((ROOT / DOCS / "decisions").glob("*.md"))
    names = [p.relative_to(ROOT / DOCS).as_posix() for p in paths]
    return sorted(names, key=lambda n: not n.endswith("index.md"))


def _filled(entry: Any, folders: dict[str, list[str]]) -> Any:
    """The navigation with each name of a folder replaced by the pages in it."""
    if isinstance(entry, list):
        return [_filled(e, folders) for e in entry]
    if isinstance(entry, dict):
        return {k: _filled(v, folders) for k, v in entry.items()}
    return folders.get(entry, entry)
