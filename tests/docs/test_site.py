"""The generated pages of the site, and how links are rewritten for it."""

from __future__ import annotations

from typing import Annotated

import site_hooks
import typer
from site_pages import api_pages, command_reference
from support.interpreter import ROOT


def test_the_command_reference_has_every_command_and_option() -> None:
    from hrnet_deploy.cli import app

    page = command_reference()
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"## {command.name or command.callback.__name__}\n" in page
    assert "`--max-drop`" in page
    assert "One of: ort, openvino, trt, trt-rtx." in page


def test_hidden_options_and_commands_are_left_out_of_the_reference() -> None:
    app = typer.Typer()

    @app.command()
    def shown(
        new: Annotated[str, typer.Option(help="The new | name.")] = "a",
        old: Annotated[str, typer.Option(hidden=True)] = "",
    ) -> None:
        """What it does.

        Example: tool shown --new b
        """

    @app.command(hidden=True)
    def secret() -> None:
        """Nobody sees this."""

    page = command_reference(app)
    assert "| `--new` | The new \\| name. | `a` |" in page
    assert "tool shown --new b" in page
    assert "--old" not in page
    assert "secret" not in page


def test_the_api_has_a_page_for_every_room_and_every_public_module_once() -> None:
    pages = api_pages(ROOT / "hrnet_deploy")
    text = "\n".join(p for name, p in pages.items() if not name.endswith("predictor.md"))
    for path in (ROOT / "hrnet_deploy").rglob("*.py"):
        if path.stem not in ("__init__", "__main__") and "cli" not in path.parts and path.stat().st_size:
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            assert text.count(f"::: {module}\n") == 1, module


def test_links_of_the_repository_become_links_of_the_site() -> None:
    known = {"figures/int8.md", "CONTRIBUTING.md", "benchmarks/README.md", "index.md"}

    def on_site(text: str, path: str) -> str:
        return site_hooks.site_links(text, path, known)

    assert on_site("[a](figures/int8.md#b)", "docs/index.md") == "[a](figures/int8.md#b)"
    assert on_site("[a](../../benchmarks/README.md)", "docs/figures/int8.md") == "[a](../benchmarks/README.md)"
    assert on_site("[a](docs/figures/int8.md)", "CONTRIBUTING.md") == "[a](figures/int8.md)"
    assert on_site("[a](../docs/index.md)", "benchmarks/README.md") == "[a](../index.md)"
    assert on_site("see [the code](../hrnet_deploy/files.py)", "docs/index.md") == "see the code"
    assert on_site("[a](https://example.org/x)", "docs/index.md") == "[a](https://example.org/x)"
