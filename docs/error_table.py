"""The page of all error messages, from the code: every place that makes an error of the package, with its sentence.

`python docs/error_table.py SAID` compares the page with what the tests made appear. SAID is the file that tests write
if HRNET_DEPLOY_SAID names it (`tests/support/said`). It fails for sentences that neither appeared nor are in
`tests/support/said/not_said.txt`, where the reason stands.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hrnet_deploy"
NOT_SAID = ROOT / "tests/support/said/not_said.txt"
CODES = {"DeployError": 2, "BadInput": 2, "Damaged": 2, "Unavailable": 3}
INTRODUCTION = """# Error messages

This page is generated from the code. Every error of hrnet-deploy is one of these sentences, on stderr, and ends the
command with the exit code of its table. Words in braces stand for names, numbers and lists of the case at hand. After
the dash stands what to do.

| Exit code | Meaning |
|---|---|
| 0 | done |
| 1 | done, and the verdict is "failed": a limit was exceeded |
| 2 | a file or an argument cannot be used |
| 3 | a library, a device or a file is not available on this machine |
| 70 | a fault of hrnet-deploy itself; please report it |
| 130 | interrupted |
"""


@dataclass(frozen=True)
class Said:
    """A place that makes an error: `module` is its path in the repository, `first` and `last` are its lines, and
    `sentences` what it can say."""

    module: str
    first: int
    last: int
    code: int
    sentences: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        """How the list of exceptions calls it."""
        return {f"{self.module}: {s}" for s in self.sentences}


def places(package: Path = PACKAGE) -> list[Said]:
    """Every place of a package that makes one of its errors."""
    found = []
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package.parent).as_posix()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        helpers = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CODES and call.args:
                said = tuple(dict.fromkeys(" ".join(s.split()) for s in _sentences(call.args[0], helpers)))
                found.append(Said(module, call.lineno, call.end_lineno or call.lineno, CODES[call.func.id], said))
    return sorted(found, key=lambda p: (p.module, p.first))


def _sentences(node: ast.expr, helpers: dict[str, ast.FunctionDef]) -> Iterator[str]:
    """What an expression can say. Of a function in the same module, that is whatever it returns."""
    if isinstance(node, ast.IfExp):
        yield from _sentences(node.body, helpers)
        yield from _sentences(node.orelse, helpers)
    elif isinstance(node, ast.Call) and (name := _called(node.func)) in helpers:
        returned = [n.value for n in ast.walk(helpers[name]) if isinstance(n, ast.Return) and n.value]
        for value in sorted(returned, key=lambda v: v.lineno):
            yield from _sentences(value, {})
    else:
        yield _text(node)


def _called(function: ast.expr) -> str:
    """The name of a function of the module, or of a method of the same object."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "self":
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _text(node: ast.expr) -> str:
    """An expression as text, with the names of its parts in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(v) for v in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.IfExp):
        return _text(node.body) or _text(node.orelse)
    return "{" + _name(node) + "}"


def _name(node: ast.AST) -> str:
    """The word that says most of an expression: what `', '.join(names[:3])` and `path.name` are of."""
    if isinstance(node, ast.Name):
        return node.id.strip("_")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Call):
        if node.args and not isinstance(node.args[0], ast.Constant):
            return _name(node.args[0])
        return _name(node.func)
    if isinstance(node, (ast.Subscript, ast.Starred, ast.FormattedValue)):
        return _name(node.value)
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return _name(node.generators[0].iter)
    inner = [n for n in ast.walk(node) if isinstance(n, (ast.Name, ast.Attribute))]
    return _name(inner[0]) if inner else "value"


def error_page() -> str:
    """The page, as Markdown: a table per part of the package and exit code."""
    groups: dict[str, list[Said]] = {}
    for place in places():
        part = place.module.split("/")[1].removesuffix(".py")
        groups.setdefault(part, []).append(place)
    lines = [INTRODUCTION]
    for part, found in sorted(groups.items()):
        # what has no words of its own hands on another error
        rows = {(s, p.code) for p in found for s in p.sentences if re.sub(r"{\w*}", "", s).strip()}
        lines += [f"## {part}", "", "| What is wrong | What to do | Exit code |", "|---|---|---|"]
        for sentence, code in sorted(rows):
            wrong, _, cure = sentence.partition(" — ")
            lines.append(f"| {_cell(wrong)} | {_cell(cure)} | {code} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    for character in "\\|<*_`":
        text = text.replace(character, {"<": "&lt;"}.get(character, f"\\{character}"))
    return text


def allowed() -> dict[str, str]:
    """The sentences that no test has to make appear, each with the reason."""
    found, reason = {}, ""
    for line in NOT_SAID.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            reason = line.removeprefix("#").strip()
        elif line.strip():
            found[line.strip()] = reason
    return found


def unsaid(said: Path) -> list[Said]:
    """The places that no test reached, and that are not in the list of exceptions."""
    seen: dict[str, set[int]] = {}
    for line in said.read_text(encoding="utf-8").splitlines() if said.exists() else ():
        module, _, number = line.rpartition(":")
        seen.setdefault(module, set()).add(int(number))
    known = set(allowed())
    return [
        place
        for place in places()
        if not seen.get(place.module, set()) & set(range(place.first, place.last + 1)) and not place.names & known
    ]


def main() -> int:
    """Print the sentences that no test made appear. The exit code is 1 if there is one."""
    missing = unsaid(Path(sys.argv[1]))
    total = len(places())
    for place in missing:
        print(f"{place.module}:{place.first}")
        for sentence in place.sentences:
            print(f"  {place.module}: {sentence}")
    if missing:
        print(
            f"{len(missing)} of {total} error messages were made by no test: write one, or add the indented line to "
            f"{NOT_SAID.relative_to(ROOT)} with the reason"
        )
    else:
        print(f"all {total} error messages were made by a test, but for {len(allowed())} that are listed with a reason")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
