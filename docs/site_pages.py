"""Generated pages of the site: the command reference from the typer app, the API from the folders of the package."""

from __future__ import annotations

import ast
import enum
import re
from pathlib import Path
from typing import Any

SKIPPED = ("help",)  # every command has it
ROOMS = (  # the pages of the API, in the order of the site; what is not named here is on the page "Everything else"
    ("results", "Results", "The types of result files, how they are read and written, and how they become documents."),
    ("jobs", "Jobs", "What each command does: one request in, one result out."),
    ("engines", "Engines", "How a model is opened and run."),
    ("tasks", "Tasks", "Preprocessing, decoding, comparison, metric and drawing of each task."),
    ("architecture", "Architectures", "The shape of a network as plain data."),
    ("networks", "Networks", "The PyTorch modules."),
    ("checkpoints", "Checkpoints", "Reading trained weights and recognising what they are of."),
    ("downloads", "Downloads", "Published checkpoints: where they are, and how they come here."),
    ("graph", "Graph", "What is done to an ONNX graph."),
    ("precision", "Precision", "The search for blocks that must stay in float."),
    ("bench", "Bench", "How time and memory are measured."),
    ("workflow", "Workflow", "What several jobs share."),
)


def command_reference(app: Any = None) -> str:
    """The page of all commands, as Markdown. Hidden commands and hidden options are left out.

    Args:
        app: a typer app; the one of hrnet-deploy unless given.
    """
    import typer

    if app is None:
        from hrnet_deploy.cli import app
    group: Any = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "This page is generated from the help of the command line.",
        "",
    ]
    for name in group.commands:
        command = group.commands[name]
        if not command.hidden:
            lines += _command(f"{group.name or 'hrnet-deploy'} {name}", name, command)
    return "\n".join(lines)


def _command(usage: str, name: str, command: Any) -> list[str]:
    shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name not in SKIPPED]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    options = [p for p in shown if p.param_type_name == "option"]
    words = " ".join(_argument(a) for a in arguments)
    text, _, example = (command.help or "").partition("Example:")
    lines = [
        f"## {name}",
        "",
        *_paragraphs(text),
        "",
        "```text",
        f"{usage} {words} [OPTIONS]".replace("  ", " "),
        "```",
        "",
    ]
    if example:
        lines += ["Example:", "", "```text", " ".join(example.split()), "```", ""]
    for title, params in (("Argument", arguments), ("Option", options)):
        if params:
            lines += [f"| {title} | Meaning | Default |", "|---|---|---|", *(_row(p) for p in params), ""]
    return lines


def _paragraphs(text: str) -> list[str]:
    """Help text as Markdown paragraphs: one line per paragraph."""
    parts = [" ".join(p.split()) for p in re.split(r"\n\s*\n", text.strip())]
    return "\n\n".join(_escaped(p) for p in parts if p).splitlines()


def _argument(param: Any) -> str:
    name = (param.name or "").upper() + ("..." if param.nargs == -1 else "")
    return name if param.required else f"[{name}]"


def _row(param: Any) -> str:
    if param.param_type_name == "argument":
        names = f"`{_argument(param)}`"
    else:
        names = " ".join(f"`{n}`" for n in (*param.opts, *param.secondary_opts))
    choices = _choices(param)
    meaning = _escaped(param.help or "") + (f" One of: {', '.join(choices)}." if choices else "")
    return f"| {names} | {' '.join(meaning.split())} | {_default(param)} |"


def _choices(param: Any) -> list[str]:
    """The values an option takes, where it takes one of a few."""
    kind = getattr(getattr(param, "type_descriptor", None), "annotation", None)  # typer 0.29 and later
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [str(c.value) for c in kind]
    return [str(getattr(c, "value", c)) for c in getattr(getattr(param, "type", None), "choices", ())]


def _default(param: Any) -> str:
    if param.required:
        return "required"
    value = getattr(param.default, "value", param.default)
    nothing = value is None or value is False or value == "" or value == [] or value == ()
    return "" if nothing or callable(value) else f"`{value}`"


def _escaped(text: str) -> str:
    """Text for a Markdown table or paragraph: no cell ends early and nothing is taken for HTML."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def api_pages(package: Path) -> dict[str, str]:
    """The pages of the API by their path on the site. Modules are listed; mkdocstrings fills them in.

    Args:
        package: the folder of the package. It is read and not imported, so no framework is needed.
    """
    pages = {}
    index = [
        "# API",
        "",
        "Start with the [Predictor](predictor.md). Everything else is for programs that convert and measure.",
        "",
    ]
    pages["reference/api/predictor.md"] = (
        "# Predictor\n\nThe whole of using a model in a program.\n\n::: hrnet_deploy.jobs.predict.Predictor\n"
    )
    index.append("* [Predictor](predictor.md): use a model in a program.")
    named = {name for name, _, _ in ROOMS}
    for name, title, summary in ROOMS:
        modules = _modules(package / name, package)
        if modules:
            pages[f"reference/api/{name}.md"] = _api_page(title, summary, modules)
            index.append(f"* [{title}]({name}.md): {summary[:1].lower()}{summary[1:]}")
    rest = [m for m in _modules(package, package) if m.split(".")[1] not in (*named, "cli")]
    pages["reference/api/other.md"] = _api_page("Everything else", "The rest of the package.", rest)
    index.append("* [Everything else](other.md): the rest of the package.")
    return {"reference/api/index.md": "\n".join(index) + "\n", **pages}


def _api_page(title: str, summary: str, modules: list[str]) -> str:
    return "\n\n".join([f"# {title}", summary, *(f"## {m}\n\n::: {m}" for m in modules)]) + "\n"


def _modules(folder: Path, package: Path) -> list[str]:
    """The dotted names of the modules in a folder that define or document something, in order."""
    found = []
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else []:
        parts = path.relative_to(package.parent).with_suffix("").parts
        private = any(p.startswith("_") and p != "__init__" for p in parts)
        if not private and ast.parse(path.read_text(encoding="utf-8")).body:
            found.append(".".join(parts).removesuffix(".__init__"))
    return [m for m in found if m != package.name]
