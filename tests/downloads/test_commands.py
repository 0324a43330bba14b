"""download, models --checkpoints, and names in place of a checkpoint, on a server of the test's own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import generate
import pytest
from support.tiny import SIZE, TINY
from support.web import Answer, Server, served

from hrnet_deploy import cards, checkpoints, downloads
from hrnet_deploy.cards import ModelCard, Published, card
from hrnet_deploy.downloads import catalogue, transfer
from hrnet_deploy.files import sha256
from hrnet_deploy.results import codec
from hrnet_deploy.results.download import DownloadResult
from hrnet_deploy.results.evaluation import EvalResult

Run = Callable[..., tuple[int, str, str]]
NAME = "pose_tiny_of_tests"


@pytest.fixture
def server() -> Iterator[Server]:
    with served() as made:
        yield made


@pytest.fixture
def tiny_card(
    server: Server, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModelCard]:
    """A card of this package whose checkpoint the server has."""
    digest = sha256(tiny_checkpoint)
    server.rules = [Answer(body=tiny_checkpoint.read_bytes())]
    url = f"{server.url.rsplit('/', 1)[0]}/tiny-{digest[:8]}.pth"
    model = card("pose_hrnet_w32_256x192")
    made = dataclasses.replace(
        model,
        name=NAME,
        architecture=TINY,
        input=dataclasses.replace(model.input, height=SIZE[0], width=SIZE[1]),
        published=(Published(url, digest[:8], "AP", 12.3, "drawn people"),),
    )
    monkeypatch.setitem(cards.cards(), NAME, made)
    catalogue.offers.cache_clear()
    monkeypatch.setenv(downloads.CACHE, str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfer, "PAUSE", 0)
    yield made
    catalogue.offers.cache_clear()


def test_a_name_in_place_of_a_checkpoint_is_downloaded_once(
    tiny_card: ModelCard, server: Server, tmp_path: Path, run: Run
) -> None:
    loaded = checkpoints.load(NAME)
    assert loaded.card == tiny_card and loaded.path.parent == downloads.cache_folder()
    code, out, err = run("download", NAME, "--report", tmp_path / "d.json")
    assert code == 0 and "It was there." in out and len(server.asked) == 1, err
    result = codec.read(tmp_path / "d.json")
    assert isinstance(result, DownloadResult)
    assert (result.card, result.published) == (NAME, "AP 12.3 on drawn people")
    assert result.path == str(loaded.path) and result.sha256 == loaded.sha256


def test_the_published_figure_stands_beside_the_score(
    tiny_card: ModelCard, tiny_onnx: Path, tmp_path: Path, run: Run
) -> None:
    """The file was exported with another card; its checkpoint is known by its digest."""
    generate.generate(tmp_path / "people", range(2), seed=3)
    code, out, err = run("eval", tiny_onnx, "--data", tmp_path / "people", "-o", tmp_path / "e.json")
    assert code == 0, err
    scored = codec.read(tmp_path / "e.json")
    assert isinstance(scored, EvalResult) and scored.published == "AP 12.3 on drawn people"
    assert "Published for these weights: AP 12.3 on drawn people." in out
    code, out, _ = run("inspect", tiny_onnx)
    assert code == 0 and "AP 12.3 on drawn people, tiny-" in out


def test_the_list_says_what_can_be_downloaded_and_what_is_here(tiny_card: ModelCard, run: Run, tmp_path: Path) -> None:
    def line() -> dict[str, object]:
        code, out, _ = run("models", "--checkpoints", "--json")
        assert code == 0
        found: dict[str, object] = next(c for c in json.loads(out) if c["name"] == NAME)
        return found

    assert not line()["here"]
    assert run("download", NAME)[0] == 0
    assert line()["here"] and line()["published"] == "AP 12.3 on drawn people"
    code, out, _ = run("models", "--checkpoints")
    assert code == 0 and "pose_hrnet_w32_256x192_udp@73ede547" in out and NAME in out


def test_a_name_that_nobody_published_is_refused_with_those_that_are_alike(run: Run) -> None:
    code, out, err = run("download", "pose_hrnet_w32_256x19")
    assert (code, out) == (2, "")
    assert "no checkpoint is published as 'pose_hrnet_w32_256x19' — did you mean pose_hrnet_w32_256x192" in err


def test_a_machine_without_a_network_uses_a_folder(
    tiny_card: ModelCard, server: Server, tiny_checkpoint: Path, tmp_path: Path, run: Run
) -> None:
    server.shutdown()
    server.server_close()
    code, _, err = run("export", NAME, "-o", tmp_path / "tiny.onnx")
    assert code == 3 and "cannot be reached" in err and "--from" in err and err.count("\n") == 1
    usb = tmp_path / "usb"
    usb.mkdir()
    (usb / Path(tiny_card.published[0].url).name).write_bytes(tiny_checkpoint.read_bytes())
    assert run("download", NAME, "--from", usb)[0] == 0
    assert checkpoints.load(NAME).card == tiny_card
