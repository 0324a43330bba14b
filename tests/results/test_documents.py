"""Documents of every kind of result: the terminal, the page and Markdown say the same, and they say everything."""

from __future__ import annotations

import dataclasses
import html
import io
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from support.results import CARD, ENVIRONMENT, bench, build, check, examples, half, quantize, row, run, tune

from hrnet_deploy.errors import BadInput
from hrnet_deploy.results.base import Result
from hrnet_deploy.results.charts import Bars, Scatter
from hrnet_deploy.results.codec import read
from hrnet_deploy.results.document import Cell, Code, Document, Facts, Section, Table, Text
from hrnet_deploy.results.documents import document_of, report
from hrnet_deploy.results.documents.cost_table_network import region
from hrnet_deploy.results.inspection import CardList, CardSummary, Inspection
from hrnet_deploy.results.machine import EngineState, Machine
from hrnet_deploy.results.registry import KINDS
from hrnet_deploy.results.render.junit import junit_xml
from hrnet_deploy.results.render.markdown import Pictures, markdown
from hrnet_deploy.results.render.page import html_page
from hrnet_deploy.results.render.terminal import show

ROOT = Path(__file__).parents[2]
OWN = [result for results in examples().values() for result in results]
OF_SCRIPTS = ("int8_", "compiler", "gpu_")  # kinds of result that the scripts in benchmarks/ register
COMMITTED = [p for p in (ROOT / "benchmarks/results").glob("*.json") if not p.name.startswith(OF_SCRIPTS)]
WIDTHS = (80, 100, 160)


def texts_of(part: Document | Section, detail: bool = False, title: bool = True) -> Iterator[tuple[str, bool, bool]]:
    """Every text of a document; whether it is marked as detail, and whether it is in a chart that a table repeats."""
    if title and part.title:
        yield part.title, detail, False
    for element in part.elements:
        hidden = detail or element.detail
        if isinstance(element, (Text, Code)):
            yield element.text, hidden, False
        elif isinstance(element, Facts):
            for pair in element.values.items():
                yield from ((text, hidden, False) for text in pair)
        elif isinstance(element, Table):
            yield element.caption, hidden, False
            for cell in (c for row in (element.columns, *element.rows) for c in row):
                cell = cell if isinstance(cell, Cell) else Cell(cell)
                yield from ((text, hidden, False) for text in (cell.text, cell.note) if text)
        elif isinstance(element, Bars):
            yield element.title, hidden, element.in_table
            for bar in element.all():
                yield from ((text, hidden, element.in_table) for text in (bar.name, bar.text))
        else:
            assert isinstance(element, Scatter)
            yield from ((p.name, hidden, element.in_table) for p in element.points)
    for section in part.sections:
        yield from texts_of(section, detail or section.detail)


def words(text: str) -> str:
    """The text without its white space, which renderers fold."""
    return re.sub(r"\s+", "", text)


def in_terminal(document: Document, width: int) -> str:
    screen = io.StringIO()
    show(Console(file=screen, width=width, highlight=False), document)
    return screen.getvalue()


def in_markdown(document: Document, pictures: bool) -> str:
    drawn = Pictures("pictures" if pictures else None)
    text = markdown(document, drawn) + " ".join(drawn.files.values())
    return html.unescape(text.replace("\\", ""))


def columns_of(text: str, width: int, piece: str) -> bool:
    """Whether a text is in a terminal's output, also where it was folded within its column."""
    if words(piece) in words(text):
        return True
    return all(word in text for word in piece.split())


@pytest.mark.parametrize("result", OWN, ids=lambda r: r.kind)
def test_every_figure_and_sentence_is_in_every_rendering(result: Result) -> None:
    document = document_of(result, "name.json")
    found = list(texts_of(document))
    assert len(found) > 8
    page = words(html.unescape(re.sub(r"<wbr>", "", html_page(document))))
    with_pictures, without = (words(in_markdown(document, p)) for p in (True, False))
    for text, _, repeated in found:
        assert words(text) in page, text
        assert words(text) in with_pictures, text
        assert repeated or words(text) in without, text
    for width in WIDTHS:
        screen = in_terminal(document, width)
        assert all(len(line) <= width for line in screen.splitlines() if "hrnet-deploy" not in line)
        for text, detail, repeated in found:
            assert detail or repeated or columns_of(screen, width, text), (width, text)


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: p.stem)
@pytest.mark.parametrize("width", WIDTHS)
def test_tables_of_committed_results_fit_any_terminal(path: Path, width: int) -> None:
    screen = in_terminal(document_of(read(path), path.name), width)
    assert all(
        len(line) <= width for line in screen.splitlines() if "hrnet-deploy" not in line and "python" not in line
    )
    numbers = re.findall(r"(?m)^ *\d+$", screen)  # a number alone on a line was folded
    assert not numbers


def test_there_is_an_example_of_every_kind() -> None:
    assert set(examples()) == {k for k in KINDS if k not in ("int8_accuracy", "int8_speed", "gpu")}


def test_details_are_left_out_of_a_terminal_alone() -> None:
    document = Document("T", [Text("seen"), Text("hidden", detail=True)], [Section("S", [Text("deep")], detail=True)])
    assert "seen" in in_terminal(document, 80)
    assert not {"hidden", "deep", "S"} & set(in_terminal(document, 80).split())
    for text in (html_page(document), in_markdown(document, False)):
        assert "hidden" in text and "deep" in text


def test_several_results_are_one_document_with_each_machine_once() -> None:
    made = report([("a.json", bench()), ("b.json", check()), ("c.json", quantize())])
    assert [s.title.rpartition(" ")[2] for s in made.sections[:-1]] == ["(a.json)", "(b.json)", "(c.json)"]
    where = made.sections[-1]
    assert where.title == "Where this was measured" and len(where.sections) == 1
    (facts,) = where.sections[0].elements
    assert isinstance(facts, Facts) and facts.values["results"] == "a.json, b.json, c.json"
    assert facts.values["processor"] == ENVIRONMENT.cpu.model


def text_of(result: Result) -> str:
    return in_terminal(document_of(result), 160)


def test_what_a_reader_must_not_miss_is_in_the_terminal() -> None:
    failed = text_of(quantize(passed=False))
    assert "Try --exclude 'final_layer' --exclude 'conv1', or a search with --max-drop." in failed
    assert "FAILED" in failed and "Nothing was written." in failed
    assert "First tensor that differs: stage3.1.branches.0.2.bn1" in text_of(check(passed=False))
    assert "pixels_mean" in text_of(check(passed=False)) and "not a number" in text_of(check(passed=False))
    measured = text_of(bench())
    for said in (
        "UNSTABLE",
        "this machine has no NVIDIA driver",
        "killed by signal 9",
        "Reproduce with:",
        "4 in flight",
    ):
        assert said in measured, said
    assert "Load average 1.51 1.47 1.69 before" in measured and "10 MB per further image" in measured
    chosen = text_of(tune())
    assert "Pareto" in chosen and "winner" in chosen and "AP moved by 1.40, over 0.5" in chosen
    assert "reused from an earlier run" in text_of(run()) and "ran again: the images are others" in text_of(run())
    assert "70007" in text_of(half()) and "the first 8 of 10" in text_of(half())
    assert "Warning: one branch has a width" in text_of(build())


def test_a_search_that_the_test_set_refutes_says_what_to_do() -> None:
    done = quantize()
    bad = dataclasses.replace(done.trials[-1], checks=check(passed=False).checks)
    lost = dataclasses.replace(done, trials=[*done.trials[:-1], bad], path=None)
    assert "failed on the test set: give more images, or a larger --max-drop" in text_of(lost)


def test_a_check_is_junit_xml_with_a_case_for_each_limit() -> None:
    for result, failures in ((check(), "0"), (check(passed=False), "1")):
        suite = ElementTree.fromstring(junit_xml(result))[0]
        assert suite.get("failures") == failures and suite.get("tests") == str(len(result.checks))
        assert [c.get("name") for c in suite] == [c.name for c in result.checks]
    assert "first tensor that differs: stage3.1" in junit_xml(check(passed=False)).decode()


def test_what_is_only_shown_has_a_document_too() -> None:
    found = Inspection(
        "HRNetV1-W32, ONNX fp32", "ONNX opset 20, 114.3 MB", CARD, "pose", "256x192", "COCO", takes=["a", "b"]
    )
    assert list(found.to_dict()) == ["what", "file", "card", "task", "input", "trained on", "takes"]
    machine = Machine(
        ENVIRONMENT.cpu,
        "VNNI: int8 runs at full speed",
        "not native: use fp32",
        "none",
        {"torch": "2.6.0"},
        {
            "ort": EngineState("ONNX Runtime"),
            "trt": EngineState("TensorRT", "it is missing — pip install it"),
        },
        {"eval": ""},
    )
    cards = CardList([CardSummary(CARD, "HRNetV1-W32", "256x192", "AP 74.4 (COCO val2017)")])
    for shown, texts in (
        (found, ("HRNetV1-W32, ONNX fp32", "trained on", "COCO")),
        (machine, ("2 of 8 cores usable", "ready", "not here", "pip install it", "extra eval")),
        (cards, (CARD, "AP 74.4")),
    ):
        document = document_of(shown)
        screen = in_terminal(document, 120)
        page = html_page(document).replace("<wbr>", "")
        assert all(t in screen for t in texts) and all(html.escape(t) in page for t in texts)


def test_a_row_that_measured_no_region_is_damaged() -> None:
    with pytest.raises(BadInput, match="the row of ort has none of the regions"):
        region(row("ort", "fp32", 5.0, regions={}))
