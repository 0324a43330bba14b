"""Check by its syntax tree that code uses only names and signatures that TensorRT's recorded bindings have.

The type of an expression is known from constructors such as `trt.Builder(...)`, from what recorded signatures return,
from annotations, and from attributes of `self`.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "tensorrt_surface"
VERSIONS = ("10.16", "11.4")
RTX_VERSION = "rtx-1.7"  # of TensorRT for RTX
MODULE = "trt"
NOT_RECORDED = {"__version__"}  # attributes of the module that all versions have


@dataclass(frozen=True)
class Signature:
    """The names of the parameters, those that are optional, and the name of the type that is returned."""

    parameters: tuple[str, ...]
    optional: frozenset[str]
    returns: str

    def fits(self, positional: int, keywords: set[str]) -> bool:
        """Whether a call with so many positional arguments and these keywords is valid."""
        given = set(self.parameters[:positional]) | keywords
        needed = set(self.parameters) - self.optional
        return positional <= len(self.parameters) and keywords <= set(self.parameters[positional:]) and needed <= given


def signature_of(text: str) -> Signature:
    """The signature in the first line of a docstring of the bindings."""
    found = re.fullmatch(r"\w+\((.*)\) -> (.+)", text)
    assert found, text
    parts = [p for p in _split(found[1]) if p and not p.startswith("self:")]
    names = tuple(p.partition(":")[0].strip() for p in parts)
    return Signature(
        names, frozenset(n for n, p in zip(names, parts, strict=True) if " = " in p), found[2].rpartition("::")[2]
    )


def _split(text: str) -> list[str]:
    """Split at the commas that are not inside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([<") - (letter in ")]>")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [p.strip() for p in parts]


class Surface:
    """The recorded classes of one version of the bindings, with their members and signatures."""

    def __init__(self, version: str) -> None:
        values = json.loads((FOLDER / f"{version}.json").read_text())
        self.version: str = values["version"]
        self.api: dict[str, Any] = values["api"]

    def members(self, name: str) -> dict[str, Any]:
        found = self.api[name].get("members", {})
        return found if isinstance(found, dict) else dict.fromkeys(found, "enum")

    def signatures(self, name: str, member: str) -> list[Signature]:
        found = self.members(name).get(member)
        return [signature_of(s) for s in found] if isinstance(found, list) else []


@dataclass
class Type:
    """The type of an expression.

    `kind` is "module", "class", "instance", "method", "value", or "function" for a function of the checked code that is
    annotated to return an instance. `name` is the class, `member` the method.
    """

    kind: str
    name: str = ""
    member: str = ""


@dataclass
class Checker(ast.NodeVisitor):
    """Visits code and collects the names and calls that a version of the bindings does not have."""

    surface: Surface
    problems: list[str] = field(default_factory=list)
    checked: int = 0
    names: list[dict[str, Type]] = field(default_factory=lambda: [{}])
    own: dict[str, Type] = field(default_factory=dict)  # attributes of self in the class being visited

    def visit_Module(self, node: ast.Module) -> None:
        for function in (f for f in node.body if isinstance(f, ast.FunctionDef) and f.returns is not None):
            if (t := self._annotated(function.returns)) is not None:  # type: ignore[arg-type]
                self.names[0][function.name] = Type("function", t.name)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        before, self.own = self.own, {}
        bases = [t.name for b in node.bases if (t := self.type_of(b)) is not None and t.kind == "class"]
        for function in (f for f in node.body if isinstance(f, ast.FunctionDef)):
            for base in bases:
                self._overrides(function, base)
        for part in ast.walk(node):  # find the attributes of self before the methods that use them
            if isinstance(part, ast.AnnAssign) and _is_self(part.target) and (t := self._annotated(part.annotation)):
                self.own[part.target.attr] = t  # type: ignore[union-attr]
        for _ in range(2):
            for part in ast.walk(node):
                if isinstance(part, ast.Assign) and _is_self(part.targets[0]) and (t := self._quietly(part.value)):
                    self.own.setdefault(part.targets[0].attr, t)  # type: ignore[attr-defined]
        self.generic_visit(node)
        self.own = before

    def _overrides(self, function: ast.FunctionDef, base: str) -> None:
        recorded = self.surface.signatures(base, function.name)
        if recorded and function.name != "__init__":
            mine = tuple(a.arg for a in function.args.args[1:])
            self.checked += 1
            if not any(mine == s.parameters for s in recorded):
                self.problems.append(
                    f"{base}.{function.name} takes {', '.join(recorded[0].parameters)}, not {', '.join(mine)}"
                )

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        scope = {a.arg: t for a in node.args.args if a.annotation is not None and (t := self._annotated(a.annotation))}
        self.names.append(scope)
        self.generic_visit(node)
        self.names.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name) and (t := self._annotated(node.annotation)):
            self.names[-1][node.target.id] = t
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.generic_visit(node)
        if isinstance(node.targets[0], ast.Name):
            found = self._quietly(node.value)
            if found is not None:
                self.names[-1][node.targets[0].id] = found
            else:
                self.names[-1].pop(node.targets[0].id, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.type_of(node, report=True)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        found = self._quietly(node.func)
        if found is not None and found.kind in ("class", "method"):
            recorded = self.surface.signatures(found.name, found.member or "__init__")
            own_init = found.kind == "class" and not recorded
            starred = any(isinstance(a, ast.Starred) for a in node.args)
            if recorded and not starred and not own_init:
                self.checked += 1
                keywords = {k.arg for k in node.keywords if k.arg}
                count = len(node.args) - (found.kind == "class" and found.member == "__init__")
                if not any(s.fits(count, keywords) for s in recorded):
                    self.problems.append(
                        f"{found.name}.{found.member or '__init__'} is called with {count} arguments {sorted(keywords)}"
                    )
        self.generic_visit(node)

    def _annotated(self, annotation: ast.expr) -> Type | None:
        found = self.type_of(annotation)
        return Type("instance", found.name) if found is not None and found.kind == "class" else None

    def _quietly(self, node: ast.expr) -> Type | None:
        return self.type_of(node)

    def type_of(self, node: ast.expr, report: bool = False) -> Type | None:
        if isinstance(node, ast.Name):
            if node.id == MODULE:
                return Type("module")
            return next((s[node.id] for s in reversed(self.names) if node.id in s), None)
        if _is_self(node):
            return self.own.get(node.attr)  # type: ignore[attr-defined]
        if isinstance(node, ast.Attribute):
            return self._attribute(node, self.type_of(node.value), report)
        if isinstance(node, ast.Call):
            return self._returned(self.type_of(node.func))
        return None

    def _attribute(self, node: ast.Attribute, of: Type | None, report: bool) -> Type | None:
        if of is None:
            return None
        if of.kind == "module":
            known, found = node.attr in self.surface.api or node.attr in NOT_RECORDED, Type("class", node.attr)
        elif of.kind in ("class", "instance") and of.name in self.surface.api:
            member = self.surface.members(of.name).get(node.attr)
            known = member is not None
            found = Type("method", of.name, node.attr) if isinstance(member, list) else Type("value")
            if of.kind == "class" and isinstance(member, list):
                found = Type("class", of.name, node.attr)
        else:
            return None
        if report:
            self.checked += 1
            if not known:
                where = f"{of.name}." if of.name else ""
                self.problems.append(f"TensorRT {self.surface.version} has no {where}{node.attr}")
        return found if known and node.attr not in NOT_RECORDED else None

    def _returned(self, called: Type | None) -> Type | None:
        if called is None:
            return None
        if called.kind == "function" or (called.kind == "class" and not called.member):
            return Type("instance", called.name)
        if called.kind == "method":
            kinds = {s.returns for s in self.surface.signatures(called.name, called.member)}
            name = kinds.pop() if len(kinds) == 1 else ""
            name = {"IParserError": "ParserError"}.get(name, name)  # some signatures have the C++ name
            return Type("instance", name) if name in self.surface.api else None
        return None


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def check(source: str, version: str) -> Checker:
    """Check source code. The result has the problems found, and the number of names and calls that were checked."""
    checker = Checker(Surface(version))
    checker.visit(ast.parse(source))
    return checker
