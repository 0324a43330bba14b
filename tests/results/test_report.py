"""The page and its Markdown: every kind of result, its figures unchanged, and all that files hold is only text."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support.interpreter import loaded_after
from support.results import examples

from hrnet_deploy.files import write_json
from hrnet_deploy.jobs.compare import CompareRequest, compare
from hrnet_deploy.results import codec
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.charts import Axis, Bar, Bars, Group, picture
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.results.document import Document
from hrnet_deploy.results.documents import report
from hrnet_deploy.results.documents.cost_table_network import EAGER, INT8, STATIC, class_of
from hrnet_deploy.results.documents.tune import front
from hrnet_deploy.results.registry import KINDS
from hrnet_deploy.results.render.markdown import Pictures, markdown
from hrnet_deploy.results.render.page import html_page
from hrnet_deploy.results.wording import ms, seconds, signed

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
SPEED = RESULTS / "placement_speed_w48.json"
MEASURED = RESULTS / "pose_hrnet_w32_256x192.json"
Run = Callable[..., tuple[int, str, str]]
VOID = {"meta", "br", "wbr", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """A page taken apart, and refused where it is not well-formed or asks for anything outside itself."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self.feed(text)
        self.close()
        assert not self.stack
        ids = [a["id"] for _, a in self.tags if "id" in a]
        assert len(ids) == len(set(ids))
        for tag, attributes in self.tags:
            assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base", "form"), tag
            assert not any(
                name.startswith("on") or name in ("src", "srcset", "action", "xlink:href") for name in attributes
            ), attributes
            assert attributes.get("href", "#").startswith("#")
            for name in attributes.get("aria-labelledby", "").split():
                assert name in ids
        styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
        assert styles and not re.search(r"url\(|@import|https?:", "".join(styles))
        assert all(a["role"] == "img" and a["aria-labelledby"] for t, a in self.tags if t == "svg")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self._rows = [[""]]
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
        elif tag == "small":
            self._rows[-1][-1] += " / "

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack and self.stack.pop() == tag, tag
        if tag == "table":
            self.tables[self._rows[0][0]] = self._rows[1:]

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if "table" in self.stack and data.strip():
            self._rows[-1][-1] += data


def page_of(*paths: Path, compared: bool = False) -> Page:
    return Page(html_page(document(paths, compared)))


def document(paths: Sequence[Path], compared: bool = False) -> Document:
    """What the command `report` makes of some files."""
    changes = compare(CompareRequest(paths[0], paths[1])) if compared else None
    return report([(p.name, codec.read(p)) for p in paths], comparison=changes)


def rows_of(page: Page, caption: str) -> dict[str, dict[str, str]]:
    """A table by the names of its rows and columns."""
    head, *rows = page.tables[caption]
    return {r[0]: dict(zip(head[1:], r[1:], strict=True)) for r in rows}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A result file of every kind."""
    folder = tmp_path_factory.mktemp("kinds")
    paths = {}
    for kind, (result, *_) in examples().items():
        paths[kind] = folder / f"{kind}.json"
        codec.write(paths[kind], result)
    return paths


@pytest.fixture(scope="module")
def speed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A measurement of several engines, some of its rows unstable, as `bench` would have written it."""
    values = json.loads((RESULTS / "int8_speed_w48.json").read_text())
    envelope = {k: values[k] for k in ("command", "started", "environment")}
    path = tmp_path_factory.mktemp("speed") / "int8_speed_w48.json"
    write_json(path, {**values["result"], **envelope})
    return path


def test_every_kind_is_a_page_and_markdown(kinds: dict[str, Path]) -> None:
    assert set(kinds) == {k for k in KINDS if k not in ("int8_accuracy", "int8_speed", "gpu")}
    for kind, path in kinds.items():
        page = page_of(path)
        assert path.name in "".join(page.text) or kind == "compare", kind
        assert page.tables or kind in ("sensitivity", "predict", "download"), kind
        pictures = Pictures("pictures")
        text = markdown(document([path]), pictures)
        assert_tables(text)
        assert len(pictures.files) == text.count("](pictures/") == sum(t == "figure" for t, _ in page.tags), kind
        for svg in pictures.files.values():
            ElementTree.fromstring(svg)
        assert not markdown(document([path]), Pictures(None)).count("](")
    together = page_of(*kinds.values())
    assert sum(t == "h2" for t, _ in together.tags) == len(kinds) + 1


def assert_tables(text: str) -> None:
    """Every line of a Markdown table has as many cells as its head."""
    width = 0
    for line in text.splitlines():
        cells = len(re.findall(r"(?<!\\)\|", line))
        if not line.startswith("|"):
            width = 0
            assert cells == 0 or line.startswith(("```", "hrnet", "python", "cp")), line
        else:
            width = width or cells
            assert cells == width, line


def test_figures_of_a_measurement_are_the_result_s(speed: Path) -> None:
    values = json.loads(speed.read_text())
    page = page_of(speed)
    head, *rows = page.tables["All rows"]
    assert head[3:5] == ["end to end ms", "compute ms"] and "pipeline ms" not in head  # nothing measured it
    assert len(rows) == len(values["rows"])
    for row, cells in zip(values["rows"], rows, strict=True):
        assert cells[0].startswith(row["engine"])
        for place, region in ((3, "end_to_end"), (4, "compute")):
            s = row["regions"][region]["milliseconds"]
            assert cells[place].startswith(f"{ms(s['p50'])} / {ms(s['low'])} to {ms(s['high'])}")
        ratio = row["regions"]["end_to_end"].get("times_faster_than_first")
        assert cells[5] == (
            "1 / base" if ratio is None else f"{ratio['ratio']:.2f}× / {ratio['low']:.2f} to {ratio['high']:.2f}"
        )
        assert (cells[-1] == "UNSTABLE") == row["unstable"]
    said = "".join(page.text)
    for fact in ("AMD EPYC", "avx512_vnni", values["command"], values["environment"]["commit"], "2.07 3.43 3.61"):
        assert fact in said


def test_bars_are_as_long_as_their_figures(speed: Path) -> None:
    values = json.loads(speed.read_text())
    page = page_of(speed)
    bars = [a for t, a in page.tags if t == "rect"][: len(values["rows"])]
    for row, bar in zip(values["rows"], bars, strict=True):
        p50 = row["regions"]["end_to_end"]["milliseconds"]["p50"]
        assert float(bar["width"][:-1]) == pytest.approx((99.0 - 0.4) * p50 / 150, abs=0.02)  # the axis ends at 150 ms
        end_to_end = row["regions"]["end_to_end"]
        assert ("faint" in bar["class"]) == (end_to_end["milliseconds"]["spread"] > 0.1 or not end_to_end["steady"])


def cost_table_of(measured: Path) -> CostTableResult:
    """A cost table of three networks, made with a measurement: complete, with failed rows, and not measured."""
    result = codec.read_as(measured, BenchResult)
    (table,) = examples()["cost_table"]
    assert isinstance(table, CostTableResult)
    lost = {"status": "failed", "reason": "the measuring process was killed", "regions": {}, "memory": {}, "cold": {}}
    rows = [dataclasses.replace(r, **lost) if r.precision == "int8" else r for r in result.rows]  # type: ignore[arg-type]
    first, second, third = table.columns
    failed = dataclasses.replace(second, result=dataclasses.replace(result, rows=rows))
    return dataclasses.replace(table, columns=[dataclasses.replace(first, result=result), failed, third])


def test_the_cost_table_has_the_paper_s_figures_and_ours(speed: Path, tmp_path: Path) -> None:
    codec.write(tmp_path / "table.json", cost_table_of(speed))
    page = page_of(tmp_path / "table.json")
    table = rows_of(page, "Figures of the paper and of this machine, the fastest row of each kind")
    rows = {(r.engine, r.precision): r for r in codec.read_as(speed, BenchResult).rows}

    def line(name: str) -> dict[str, str]:
        return next(v for k, v in table.items() if k.endswith(name) and k.startswith("Seconds per image"))

    eager, int8 = rows["torch:channels_last", "fp32"], rows["openvino", "int8"]
    assert class_of(eager) == EAGER and class_of(int8) == INT8 and class_of(rows["ort", "fp32"]) == STATIC
    assert line("one V100, PyTorch 1.0")["First"] == "0.058"
    assert line("MXNet 1.5.1") == {"First": "0.017", "Second": "0.017", "Third": "– / not in the paper"}
    for name, row in (("here: PyTorch eager", eager), ("here: static graph, int8", int8)):
        s = row.regions["end_to_end"].summary
        assert line(name)["First"].startswith(f"{seconds(s.p50)} / {row.engine}, {seconds(s.low)} to {seconds(s.high)}")
    assert "UNSTABLE" in line("here: PyTorch eager")["First"]
    ratio = next(
        r for r in json.loads(speed.read_text())["rows"] if r["engine"] == "openvino" and r["precision"] == "int8"
    )
    faster = ratio["regions"]["end_to_end"]["times_faster_than_first"]
    assert table["Times faster than eager / here: static graph, int8"]["First"] == (
        f"{faster['ratio']:.2f}× / {faster['low']:.2f} to {faster['high']:.2f}, UNSTABLE"
    )
    assert table["Score / here"] == {
        "First": "74.6 / AP, COCO val2017",
        "Second": "– / random weights",
        "Third": "– / not measured",
    }
    assert table["Training memory, GB / here"]["First"] == "5.41 / batch 16 of 128, 256x192"
    said = "".join(page.text)
    numbers = {}
    for name, reason in (
        ("Second", "ort int8 failed: the measuring process was killed"),
        ("Third", "the 120 minutes were over before it"),
    ):
        found = re.fullmatch(r"– / see (\d+)", line("here: static graph, int8")[name])
        assert found and f"{found[1]}: {reason}" in said
        numbers[name] = found[1]
    assert numbers["Second"] != numbers["Third"]


def test_a_comparison_marks_what_is_real_and_nothing_else(tmp_path: Path, run: Run) -> None:
    values = json.loads(MEASURED.read_text())
    region = values["rows"][-1]["regions"]["end_to_end"]
    region["rounds"] = [[1.1 * t for t in r] for r in region["rounds"]]
    region["milliseconds"]["p50"] *= 1.1
    write_json(tmp_path / "slow.json", values)
    code, _, err = run("report", MEASURED, tmp_path / "slow.json", "--compare", "-o", tmp_path / "page.html")
    assert code == 0, err
    page = Page((tmp_path / "page.html").read_text())
    rows = page.tables["Every figure of both"][1:]
    assert [r[-1] for r in rows].count("worse") == 1 and "better" not in {r[-1] for r in rows}
    worse = next(r for r in rows if r[-1] == "worse")
    assert worse[0].startswith("ort fp32") and worse[1] == "latency" and worse[4].endswith("+10.0%")
    assert all(r[4].startswith("no difference") for r in rows if r is not worse)
    assert "1 of 12 figures differ by more than noise: 1 worse, 0 better." in "".join(page.text)


HOSTILE = "<script>alert(1)</script>\"'&|*`]( \x00\u202e<img src=x onerror=y> [a](http://x.y) www.x.y"
FREE = (
    "model",
    "reason",
    "command",
    "card",
    "name",
    "pattern",
    "summary",
    "sentence",
    "verdict",
    "weights",
    "data",
    "subject",
)


def poisoned(values: Any) -> Any:
    if isinstance(values, dict):
        return {k: HOSTILE if k in FREE and isinstance(v, str) else poisoned(v) for k, v in values.items()}
    return [poisoned(v) for v in values] if isinstance(values, list) else values


def test_what_comes_from_a_file_is_text_and_nothing_more(kinds: dict[str, Path], tmp_path: Path, run: Run) -> None:
    for kind, path in kinds.items():
        bad = tmp_path / f"{kind}.json"
        bad.write_text(json.dumps(poisoned(json.loads(path.read_text()))))
        out = tmp_path / f"{kind}.html"
        assert (
            run("report", bad, "-o", out, "--title", HOSTILE.encode("ascii", "ignore").decode().replace("\x00", ""))[0]
            == 0
        ), kind
        page = Page(out.read_text(encoding="utf-8"))  # refuses scripts, images, handlers
        assert "<script>alert(1)</script>" in "".join(page.text)
        code, _, err = run("report", bad, "-o", tmp_path / f"{kind}.md", "--pictures", tmp_path / kind)
        assert code == 0, err
        text = (tmp_path / f"{kind}.md").read_text(encoding="utf-8")
        prose = re.sub(r"(?ms)^(`{3,})sh$.*?^\1$", "", text)
        assert_tables(prose)
        assert not re.search(r"(?<!\\)<(?!br>|/?sub>)", prose)
        assert not re.search(r"(?<!\\)\]\((?!" + kind + "/)", prose) and "http://" not in prose and "www.x" not in prose
        for svg in (tmp_path / kind).glob("*.svg"):
            ElementTree.parse(svg)


@pytest.mark.parametrize("arguments", [(), ("--compare",)])
def test_files_that_are_no_results_are_one_sentence(arguments: tuple[str, ...], tmp_path: Path, run: Run) -> None:
    text = MEASURED.read_text()
    written = {
        "not_json.json": ("hello", "is not JSON"),
        "truncated.json": (text[: len(text) // 2], "is not JSON"),
        "deep.json": ("[" * 100_000, "is not JSON"),
        "list.json": ("[1, 2]", "it has no kind"),
        "kind.json": ('{"schema": 1, "kind": "horoscope"}', "of the unknown kind 'horoscope'"),
        "odd.json": ('{"schema": 1, "kind": {"a": 1}}', "it has no kind"),
        "older.json": (text.replace('"schema": 1', '"schema": 0', 1), "has schema 0, but this version reads 1 to 2"),
        "empty.json": ('{"schema": 1, "kind": "check"}', "is damaged"),
        "row.json": (text.replace('"engine"', '"motor"'), "is damaged at rows[0]: object missing required field"),
    }
    for name, (content, sentence) in written.items():
        (tmp_path / name).write_text(content)
        code, out, err = run("report", MEASURED, tmp_path / name, "-o", tmp_path / "page.html", *arguments)
        assert (code, out) == (2, "") and err.count("\n") == 1 and sentence in err, (name, err)
        assert not (tmp_path / "page.html").exists()
    code, _, err = run("report", MEASURED, tmp_path / "nowhere.json", "-o", tmp_path / "page.html", *arguments)
    assert code == 2 and "does not exist" in err


def test_what_cannot_be_done_is_said_before_anything_is_written(
    kinds: dict[str, Path], tmp_path: Path, run: Run
) -> None:
    page, text, folder = tmp_path / "page.html", tmp_path / "page.md", tmp_path / "pictures"
    assert run("report", SPEED, "-o", text, "--pictures", folder)[0] == 0
    made = {p: p.read_bytes() for p in (text, *folder.iterdir())}
    assert len(made) > 2
    (tmp_path / "file").write_text("")
    for arguments, sentence in (
        ((SPEED, "-o", text), "exists already"),
        ((SPEED, "-o", tmp_path / "other.md", "--pictures", folder), "exists already"),
        ((SPEED, "-o", tmp_path / "page.pdf"), "ends in .html or .md"),
        ((SPEED, "-o", page, "--pictures", folder), "--pictures is for Markdown"),
        ((SPEED, "-o", text, "--force", "--pictures", tmp_path / "file"), "is a file"),
        ((SPEED, "-o", page, "--compare"), "--compare takes two results, not 1"),
        ((SPEED, kinds["check"], "-o", page, "--compare"), "nothing in common"),
        ((kinds["predict"], kinds["predict"], "-o", page, "--compare"), "which cannot be compared"),
    ):
        code, out, err = run("report", *arguments)
        assert (code, out) == (2, "") and sentence in err, err
        assert not page.exists() and not (tmp_path / "other.md").exists()
        assert {p: p.read_bytes() for p in made} == made
    assert run("report", SPEED, "-o", text, "--pictures", folder, "--force")[0] == 0
    assert {p: p.read_bytes() for p in made} == made  # the same results give the same bytes


def test_what_a_gpu_shows_beside_the_table_has_its_place(kinds: dict[str, Path], tmp_path: Path, scripts: None) -> None:
    from gpu_result import GpuResult

    table = codec.read_as(kinds["cost_table"], CostTableResult)
    result = table.columns[0].result
    assert result is not None
    path = tmp_path / "gpu.json"
    missing = {"throughput": "the GPU was taken away"}
    rates_ = {"fp32": 25.5, "fp16": 340.25}
    row = next(r for r in result.rows if r.status == "ok" and "compute" in r.regions)
    macs = 25.5e12 * row.regions["compute"].summary.p50 / 1e3 / row.batch / 4  # a quarter of what the rate allows
    made = GpuResult(
        table=table,
        matrix_rates={**rates_, row.precision: 25.5},
        copy_rate=1e12,
        work={f"{row.card} {row.input_size}": {"macs": macs, "numbers": 0.0}},
        measured={"modes_fp16": result},
        missing=missing,
    )
    codec.write(path, made)
    page = page_of(path)
    shares = rows_of(page, "Each figure as a share of the limits")
    title = f"{row.card} {row.input_size}, {row.engine}, batch {row.batch}"
    assert shares[title]["of the matrix rate"] == "25.0%" and shares[title]["of the copy rate"] == "0.0%"
    rates = rows_of(page, "Rate of a plain matrix product")
    assert rates["fp16"] == {"1e12 multiply-accumulates per second": "340.25"}
    said = "".join(page.text)
    assert "HRNetV1-W48 in every mode of PyTorch" in said
    assert "Not measured: the GPU was taken away." in said
    plain = page_of(kinds["cost_table"])
    assert "every mode of PyTorch" not in "".join(plain.text)


def test_two_cost_tables_are_compared_row_by_row(kinds: dict[str, Path]) -> None:
    page = page_of(kinds["cost_table"], kinds["cost_table"], compared=True)
    rows = page.tables["Every figure of both"][1:]
    assert {r[1] for r in rows} == {"latency", "compute", "memory", "iteration", "ap"}
    assert {r[-1] for r in rows} == {""}


def test_a_report_needs_neither_torch_nor_an_engine(tmp_path: Path) -> None:
    call = (
        "sys.argv = ['hrnet-deploy', 'report', {!r}, '-o', {!r}]\nfrom hrnet_deploy.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code"
    )
    assert loaded_after(call.format(str(SPEED), str(tmp_path / "page.html"))) == {"numpy", "msgspec"}


def test_layers_that_a_row_records_are_shown_the_slowest_first(tmp_path: Path) -> None:
    values = json.loads(MEASURED.read_text())
    values["rows"][-1]["facts"]["layers"] = [{"name": f"layer{i}", "ms": float(i)} for i in range(1, 31)]
    write_json(tmp_path / "layers.json", values)
    said = "".join(page_of(tmp_path / "layers.json").text)
    assert said.index("layer30") < said.index("layer11") and "layer10" not in said
    assert "the other 10 together" in said and ms(sum(range(1, 11))) in said


def test_the_front_holds_what_nothing_beats() -> None:
    assert front([(1, 3), (2, 2), (3, 1), (3, 3), (2, 2)]) == [True, True, True, False, True]
    assert front([]) == []


@pytest.mark.parametrize(
    "values", [[0.003, 0.0071], [1.0], [-0.71, 0.74], [0.0], [9999.0, 3.0], [-5.0, -2.0], [1e-9, 2e9]]
)
def test_an_axis_holds_zero_and_every_value(values: list[float]) -> None:
    axis = Axis(values)
    assert 0.0 in axis.ticks and axis.ticks == sorted(axis.ticks) and 2 <= len(axis.ticks) <= 7
    assert len({axis.label(t) for t in axis.ticks}) == len(axis.ticks)
    places = [axis.at(v) for v in sorted([*values, 0.0])]
    assert places == sorted(places) and places[0] >= 0.4 - 1e-9 and places[-1] <= 99.0 + 1e-9


def test_a_picture_says_in_words_what_it_shows() -> None:
    chart = Bars("A < B", "ms; less is better", [Group("one", [Bar("x & y", 1.5, "1.50 ms", 1.4, 1.6)])])
    svg = ElementTree.fromstring(picture(chart))
    name = "{http://www.w3.org/2000/svg}"
    assert svg.findtext(f"{name}title") == "A < B"
    assert "one, x & y 1.50 ms" in (svg.findtext(f"{name}desc") or "")
    assert "x & y" in [t.text for t in svg.iter(f"{name}text")]


def test_a_difference_that_rounds_to_nothing_has_no_sign() -> None:
    assert [signed(v) for v in (-0.001, 0.0, 0.004, 0.006, -0.5)] == ["0.00", "0.00", "0.00", "+0.01", "−0.50"]


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kinds of the scripts in benchmarks/, which are registered when their modules are imported."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def test_the_benchmarks_readme_is_what_its_results_say(scripts: None) -> None:
    import make_readme

    text, pictures = make_readme.make(ROOT / "benchmarks")
    assert (ROOT / "benchmarks/README.md").read_text(encoding="utf-8") == text, "run: python benchmarks/make_readme.py"
    folder = ROOT / "benchmarks/pictures"
    assert {p.name: p.read_text(encoding="utf-8") for p in folder.iterdir()} == pictures
    assert "<!--" not in text
    made = report(list(make_readme.results_of(ROOT / "benchmarks").items()))
    assert len(made.sections) == len(list(RESULTS.glob("*.json"))) + 1
    Page(html_page(made))
