"""The table and the picture of `quantize --sensitivity`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.results import BLOCKS, quantize

from hrnet_deploy.errors import BadInput
from hrnet_deploy.results import sensitivity
from hrnet_deploy.results.quantization import BlockCost, worst_first


def test_the_table_of_blocks_is_in_the_order_of_the_network(tmp_path: Path) -> None:
    sensitivity.write(tmp_path / "a.json", quantize())
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["kind"] == "sensitivity" and found["speed"]["over_float"]["ratio"] == 2.85
    assert [(b["pattern"], b["sqnr_db"], b["in_float"]) for b in found["blocks"]] == [
        ("conv1", 38.2, False),
        ("stage2.0.branches.0.*", None, False),
        ("final_layer", 31.04, True),
    ]
    assert [b.pattern for b in worst_first(BLOCKS)] == ["final_layer", "conv1", "stage2.0.branches.0.*"]


def test_the_picture_shows_every_block_and_marks_those_in_float(tmp_path: Path) -> None:
    many = [*BLOCKS, *(BlockCost(f"stage4.{i}.*", 4, 40.0 + i) for i in range(30))]
    done = dataclasses.replace(quantize(), blocks=many)
    for name in ("a.svg", "b.svg"):
        sensitivity.write(tmp_path / name, done)
    drawn = (tmp_path / "a.svg").read_text()
    ElementTree.fromstring(drawn)
    assert all(b.pattern in drawn for b in many)
    assert "left in float (1 of 33)" in drawn and "31.0 dB" in drawn and "nothing changes" in drawn
    assert drawn == (tmp_path / "b.svg").read_text()
    sensitivity.write(tmp_path / "a2.svg", quantize(passed=False))
    assert "left in float" not in (tmp_path / "a2.svg").read_text()


def test_a_picture_that_cannot_be_drawn_is_refused_before_the_work(tmp_path: Path) -> None:
    for suffix in ("txt", "png", "pdf"):
        with pytest.raises(BadInput, match=rf"a\.{suffix} is neither a table nor a picture — name .* \.json or \.svg"):
            sensitivity.check_outputs([tmp_path / f"a.{suffix}"], force=False)
    (tmp_path / "a.json").touch()
    with pytest.raises(BadInput, match="exists already"):
        sensitivity.check_outputs([tmp_path / "a.json"], force=False)
    sensitivity.check_outputs([tmp_path / "b.json", tmp_path / "c.svg"], force=False)
