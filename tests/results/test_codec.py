"""Result files: they read as they were written, and what does not fit is one sentence with the path of the field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.results import bench, check, examples, quantize

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import json_text
from hrnet_deploy.results import codec
from hrnet_deploy.results.base import Result
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.documents import document_of, report
from hrnet_deploy.results.registry import KINDS
from hrnet_deploy.results.render.page import html_page
from hrnet_deploy.results.upgrade import UPGRADES

FOLDER = Path(__file__).parent / "schema1"
OLD = sorted(FOLDER.glob("*.json"))
OWN = [result for results in examples().values() for result in results]


def values_of(result: Result) -> Any:
    return json.loads(json_text(codec.to_dict(result)))


@pytest.mark.parametrize("result", OWN, ids=lambda r: r.kind)
def test_a_result_reads_as_it_was_written(result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    codec.write(path, result)
    again = codec.read(path)
    assert type(again) is type(result)
    assert values_of(again) == values_of(result) == json.loads(path.read_text())
    assert document_of(again, "x") == document_of(result, "x")


@pytest.mark.parametrize("path", OLD, ids=lambda p: p.stem)
def test_a_file_of_schema_1_reads_and_is_shown(path: Path) -> None:
    values = json.loads(path.read_text())
    assert values["schema"] == 1
    result = codec.read(path)
    assert result.kind == {"suite": "cost_table"}.get(values["kind"], values["kind"])
    assert html_page(document_of(result, path.name))
    assert values_of(codec.from_dict(values_of(result), "again")) == values_of(result)


def test_every_kind_of_schema_1_has_a_file_here() -> None:
    assert {*UPGRADES, "half", "compare"} == {p.stem for p in OLD}


def test_figures_of_schema_1_are_where_schema_2_has_them() -> None:
    old = json.loads((FOLDER / "bench.json").read_text())
    new = codec.read_as(FOLDER / "bench.json", BenchResult)
    assert [r.regions["compute"].summary.p50 for r in new.rows] == [
        pytest.approx(sorted(t for ts in r["regions"]["compute"]["rounds"] for t in ts)[18], rel=0.02)
        for r in old["rows"]
    ]
    assert new.rows[-1].layers[0].name == "conv1" and new.rows[0].info.threads == old["rows"][0]["facts"]["threads"]
    found: Any = codec.read(FOLDER / "sensitivity.json")
    assert found.speed.over_int8.ratio == 1.08
    found = codec.read(FOLDER / "tune.json")
    assert found.candidates[1].rejected == "too far" and found.winner.test_figures.images == 3
    found = codec.read(FOLDER / "run.json")
    assert [s.figures.images for s in found.stages] == [12, 3]


COMPUTE = ("rows", 0, "regions", "compute")


def at(values: Any, *path: str | int) -> Any:
    """A part of nested values."""
    for key in path:
        values = values[key]
    return values


def changed(result: Result, change: Callable[[Any], object]) -> Any:
    values = values_of(result)
    change(values)
    return values


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1, 2], "it has no kind"),
        ({"schema": 2}, "it has no kind"),
        ({"schema": 2, "kind": {"a": 1}}, "it has no kind"),
        ({"schema": 2, "kind": "horoscope"}, "is a result of the unknown kind 'horoscope'"),
        ({"schema": 99, "kind": "check"}, "has schema 99, but this version reads 1 to 2"),
        ({"schema": "two", "kind": "check"}, "has schema two"),
        ({"kind": "check"}, "has schema None"),
        (changed(check(), lambda v: v.pop("engine")), "is damaged: object missing required field `engine`"),
        (
            changed(check(), lambda v: v["task"].pop("images")),
            "at task: object missing required field",
        ),
        (
            changed(check(), lambda v: v["checks"][1].update(limit="x")),
            "at checks[1].limit: expected `float`",
        ),
        (changed(bench(), lambda v: v["rows"][2].update(batch=1.5)), "at rows[2].batch: expected `int`"),
        (changed(bench(), lambda v: v["rows"][0].update(status="fine")), "at rows[0].status: invalid enum value"),
        (changed(bench(), lambda v: at(v, *COMPUTE).update(rounds=[])), "at least one round"),
        (
            changed(bench(), lambda v: v["load_before"].append(float("inf"))),
            "at load_before[3]: expected a finite",
        ),
        (changed(quantize(), lambda v: v.update(trials=[])), "is damaged: expected at least one trial"),
        (
            changed(check(), lambda v: v["task"].update(interval=None)),
            "at task: expected a difference",
        ),
        (changed(check(), lambda v: v["task"].update(metric="PQ")), "at task: expected the metric among the scores"),
    ],
)
def test_what_does_not_fit_is_one_sentence_with_the_path_of_the_field(values: Any, sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        codec.from_dict(values, "some.json")
    said = str(error.value)
    assert said.startswith("some.json ") and sentence in said and "\n" not in said and " — " in said, said


def test_a_figure_that_is_nan_is_null_in_the_file(tmp_path: Path) -> None:
    codec.write(tmp_path / "check.json", check(passed=False))
    assert json.loads((tmp_path / "check.json").read_text())["checks"][2]["value"] is None
    assert "not a number" in html_page(document_of(codec.read(tmp_path / "check.json")))


def test_one_kind_is_not_read_for_another(tmp_path: Path) -> None:
    codec.write(tmp_path / "check.json", check())
    with pytest.raises(BadInput, match="is a result of `check`, but one of `bench` is needed"):
        codec.read_as(tmp_path / "check.json", BenchResult)


WRONG: tuple[Any, ...] = (None, "text", 3, [], {})


def broken(values: Any, depth: int = 8) -> Iterator[Any]:
    """The value with one part of it at a time gone or of another type."""
    if depth and isinstance(values, dict):
        for key in values:
            yield {k: v for k, v in values.items() if k != key}
            yield from ({**values, key: other} for other in WRONG)
            yield from ({**values, key: part} for part in broken(values[key], depth - 1))
    elif depth and isinstance(values, list) and values:
        yield from ([part, *values[1:]] for part in broken(values[0], depth - 1))


def small(result: Result) -> Any:
    """The result with little in it, because every part of it is broken in turn."""
    values = values_of(result)
    for found in (values, values.get("result") or {}, *((c["result"] or {}) for c in values.get("columns", ()))):
        del found.get("rows", [])[2:]
        for row in found.get("rows", ()):
            row["layers"] = row.get("layers", [])[:2]
            for region in row.get("regions", {}).values():
                region["rounds"] = [r[:1] for r in region["rounds"][:6]]
    return values


@pytest.mark.parametrize("kind", [k for k in sorted(KINDS) if k in examples()])
def test_any_damage_is_a_page_or_a_sentence(kind: str) -> None:
    """No other end than a page or BadInput, whatever is missing or of another type. No renderer catches anything."""
    refused = shown = 0
    for damaged in broken(small(examples()[kind][-1])):
        try:
            result = codec.from_dict(damaged, "some.json")
        except BadInput:
            refused += 1
            continue
        html_page(report([("some.json", result)]))
        shown += 1
    assert refused and shown
