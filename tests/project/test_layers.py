"""The layers of the package: imports point down the table of ARCHITECTURE.md only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import hrnet_deploy

PACKAGE = Path(hrnet_deploy.__file__).parent
LAYERS = (
    "cli",
    "jobs",
    "precision",
    "workflow",
    "bench",
    "trace",
    "parity",
    "engines",
    "graph",
    "tasks",
    "checkpoints",
    "networks",
    "downloads",
    "cards",
    "image_input",
    "architecture",
    "results",
    "registry",
    "normalisation",
    "fields",
    "files",
    "stats",
    "progress",
    "threads",
    "errors",
    "version",
)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the layer of every import of this package in a file, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "hrnet_deploy":
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hrnet_deploy."):
            yield node.lineno, (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, a.name.split(".")[1]) for a in node.names if a.name.startswith("hrnet_deploy."))


def test_every_layer_is_in_the_table() -> None:
    found = {p.relative_to(PACKAGE).parts[0].removesuffix(".py") for p in PACKAGE.rglob("*.py")}
    assert found - {"__init__"} == set(LAYERS)


def test_imports_point_down() -> None:
    upwards = []
    for path in sorted(PACKAGE.rglob("*.py")):
        layer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if layer == "__init__":
            continue
        above = LAYERS[: LAYERS.index(layer)]
        upwards += [
            f"{path.relative_to(PACKAGE)}:{line} imports {other}" for line, other in imports(path) if other in above
        ]
    assert not upwards
