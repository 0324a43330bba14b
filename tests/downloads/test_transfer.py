"""Downloads from a server that breaks off, lies, redirects and changes its mind: nothing is under the final name unless
it is whole and verified, and the next call continues."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.web import CONTENT, DIGEST, Answer, Handler, Server, redirect, refuse, served, whole

from hrnet_deploy import downloads
from hrnet_deploy.cards import card
from hrnet_deploy.downloads import Offer, catalogue, obtain, transfer
from hrnet_deploy.errors import BadInput, DeployError, Unavailable

CARD = "pose_hrnet_w32_256x192"
PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>" * 20


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting, no proxy of the machine, and a cache of the test's own."""
    monkeypatch.setattr(transfer, "PAUSE", 0)
    monkeypatch.setenv(downloads.CACHE, str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with served() as made:
        yield made


def offer(url: str, prefix: str = DIGEST[:8]) -> Offer:
    published = dataclasses.replace(card(CARD).published[0], url=url, sha256_prefix=prefix)
    return Offer(CARD, card(CARD), published)


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def refused(of: Offer, folder: Path, kind: type[DeployError] = Unavailable) -> str:
    """What is said where a download fails; nothing is under the final name then."""
    with pytest.raises(kind) as caught:
        obtain(of, folder)
    assert of.file_name not in files(folder)
    assert " — " in str(caught.value)
    return str(caught.value)


def test_a_file_is_downloaded_once_verified_and_kept(server: Server) -> None:
    first = obtain(offer(server.url))
    assert first.path == downloads.cache_folder() / Path(server.url).name
    assert first.path.read_bytes() == CONTENT and first.sha256 == DIGEST
    again = obtain(offer(server.url))
    assert again == dataclasses.replace(first, how="it was there")
    assert len(server.asked) == 1
    assert files(first.path.parent) == [first.path.name]


def test_a_folder_gets_a_copy_of_what_is_kept(server: Server, tmp_path: Path) -> None:
    obtain(offer(server.url))
    copy = obtain(offer(server.url), tmp_path / "weights")
    assert copy.path.read_bytes() == CONTENT and copy.path.parent == tmp_path / "weights"
    assert len(server.asked) == 1 and "copied from" in copy.how


@pytest.mark.parametrize("tag", ['"one"', 'W/"weak"', ""])
def test_what_broke_off_is_continued_in_the_same_call(server: Server, tmp_path: Path, tag: str) -> None:
    server.rules = [Answer(cut=30_000, tag=tag), Answer(cut=20_000, tag=tag), Answer(tag=tag)]
    found = obtain(offer(server.url), tmp_path / "w")
    assert found.path.read_bytes() == CONTENT
    assert [r for _, r in server.asked] == ["", "bytes=30000-", "bytes=50000-"]
    assert "continued" in found.how and files(tmp_path / "w") == [found.path.name]


def test_what_broke_off_is_continued_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.rules = [Answer(cut=10_000)] * transfer.TRIES
    said = refused(offer(server.url), tmp_path / "w")
    assert f"broke off {transfer.TRIES} times" in said and "0.0 MB" in said and "run the same command again" in said
    assert (tmp_path / "w" / f"{Path(server.url).name}.part").stat().st_size == 40_000
    server.asked.clear()
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT
    assert [r for _, r in server.asked] == ["bytes=40000-"]


def test_a_file_that_changed_meanwhile_starts_anew(server: Server, tmp_path: Path) -> None:
    """The server has another version under another tag: If-Range makes it send the whole."""
    server.rules = [Answer(cut=30_000, body=bytes(102_400), tag='"old"'), whole]
    found = obtain(offer(server.url), tmp_path / "w")
    assert found.path.read_bytes() == CONTENT and len(server.asked) == 2


def test_a_mixture_of_two_versions_is_noticed_and_fetched_once_more(server: Server, tmp_path: Path) -> None:
    """The server says nothing by which a version could be recognised."""
    server.rules = [Answer(cut=30_000, body=bytes(102_400), tag=""), Answer(tag=""), Answer(tag="")]
    found = obtain(offer(server.url), tmp_path / "w")
    assert found.path.read_bytes() == CONTENT
    assert [r for _, r in server.asked] == ["", "bytes=30000-", ""]


@pytest.mark.parametrize("bad", [Answer(ranges=False), Answer(shift=7)], ids=["no ranges", "another range"])
def test_a_server_that_cannot_continue_sends_the_whole(server: Server, tmp_path: Path, bad: Answer) -> None:
    server.rules = [Answer(cut=30_000), bad]
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_or_too_long_is_seen_as_that(server: Server, tmp_path: Path) -> None:
    of, folder = offer(server.url), tmp_path / "w"
    folder.mkdir()
    for kept in (CONTENT, CONTENT + b"more"):
        part = folder / f"{of.file_name}.part"
        part.write_bytes(kept)
        part.with_name(f"{part.name}.json").write_text(json.dumps({"url": server.url, "validator": '"one"'}))
        found = obtain(of, folder)
        assert found.path.read_bytes() == CONTENT
        found.path.unlink()
    assert [r for _, r in server.asked] == ["bytes=102400-", "bytes=102404-", ""]


@pytest.mark.parametrize("note", ["{", "[]", '{"url": "http://elsewhere/", "validator": ""}', None])
def test_a_partial_file_of_unknown_origin_is_not_used(server: Server, tmp_path: Path, note: str | None) -> None:
    of = offer(server.url)
    part = tmp_path / f"{of.file_name}.part"
    part.write_bytes(b"something else")
    if note is not None:
        part.with_name(f"{part.name}.json").write_text(note)
    assert obtain(of, tmp_path).path.read_bytes() == CONTENT
    assert server.asked[0][1] == ""


def test_wrong_content_is_refused_by_its_digest(server: Server, tmp_path: Path) -> None:
    server.rules = [Answer(body=CONTENT[:-1] + b"!")]
    said = refused(offer(server.url), tmp_path / "w", BadInput)
    assert f"not with {DIGEST[:8]}" in said and "its sha256 begins with" in said
    assert files(tmp_path / "w") == []


def test_a_length_that_is_too_short_is_noticed(server: Server, tmp_path: Path) -> None:
    server.rules = [Answer(claimed=50_000)]
    assert "is not the published file" in refused(offer(server.url), tmp_path / "w", BadInput)


def test_a_length_that_is_too_long_is_noticed(server: Server, tmp_path: Path) -> None:
    server.rules = [Answer(claimed=200_000), whole]
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT


def test_content_without_a_length_is_read_to_its_end(server: Server, tmp_path: Path) -> None:
    server.rules = [Answer(claimed=-1)]
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT


@pytest.mark.parametrize("claimed", [None, -1])
def test_more_than_any_checkpoint_has_is_refused(
    server: Server, tmp_path: Path, claimed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.rules = [Answer(claimed=claimed)]
    monkeypatch.setattr(transfer.fetch, "__defaults__", (transfer.SILENT, 50_000))
    assert "has more than" in refused(offer(server.url), tmp_path / "w")


def test_a_length_beyond_the_disk_is_refused_before_anything_is_written(server: Server, tmp_path: Path) -> None:
    server.rules = [Answer(claimed=2**32 - 1)]
    usage = transfer.shutil.disk_usage
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer.shutil, "disk_usage", lambda p: usage(p)._replace(free=1_000_000))
        said = refused(offer(server.url), tmp_path / "w")
    assert "has 1 MB left, and 4295 MB are needed" in said
    assert files(tmp_path / "w") == []


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_in_place_of_the_file_is_recognised(server: Server, tmp_path: Path, kind: str) -> None:
    server.rules = [Answer(body=PAGE, kind=kind)]
    assert "gave a web page instead of the file" in refused(offer(server.url), tmp_path / "w")
    assert files(tmp_path / "w") == []


def test_a_web_page_does_not_replace_what_is_kept(server: Server, tmp_path: Path) -> None:
    server.rules = [Answer(cut=60_000), Answer(body=PAGE, ranges=False)]
    refused(offer(server.url), tmp_path / "w")
    assert (tmp_path / "w" / f"{Path(server.url).name}.part").stat().st_size == 60_000
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT


def test_redirects_are_followed_and_circles_refused(server: Server, tmp_path: Path) -> None:
    server.rules = [redirect("/elsewhere.pth"), whole]
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT
    server.rules = [redirect(server.url)] * 30
    assert "leads in a circle" in refused(offer(server.url), tmp_path / "x")


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x.pth"])
def test_a_redirect_leads_to_web_addresses_only(server: Server, tmp_path: Path, target: str) -> None:
    server.rules = [redirect(target)]
    refused(offer(server.url), tmp_path / "w")


def test_an_encrypted_address_does_not_lead_to_one_that_is_not() -> None:
    handler = transfer._Redirects()
    asked = transfer.web.Request("https://example.org/a.pth")
    with pytest.raises(Unavailable, match="is not encrypted"):
        handler.redirect_request(asked, None, 302, "", {}, "http://example.org/a.pth")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (404, "is no longer there"),
        (410, "is no longer there"),
        (403, "is refused (the server answered 403"),
        (407, "wants a name"),
    ],
)
def test_every_refusal_has_its_sentence(server: Server, tmp_path: Path, code: int, sentence: str) -> None:
    server.rules = [refuse(code)]
    assert sentence in refused(offer(server.url), tmp_path / "w")
    assert files(tmp_path / "w") == [] and len(server.asked) == 1


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.rules = [refuse(503), refuse(429), whole]
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT


def test_no_server_no_name_and_no_certificate_each_have_a_sentence(server: Server, tmp_path: Path) -> None:
    with served() as gone:
        closed = gone.url
    assert "127.0.0.1 cannot be reached (Connection refused)" in refused(offer(closed), tmp_path)
    said = refused(offer("http://no-such-name.invalid/a.pth"), tmp_path)
    assert "the name no-such-name.invalid cannot be looked up" in said and "HTTPS_PROXY" in said
    secure = server.url.replace("http:", "https:")
    assert "the connection to 127.0.0.1 is not secure" in refused(offer(secure), tmp_path)


def test_a_proxy_is_used_and_named_where_it_fails(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("http_proxy", proxy)
    url = "http://weights.example/a.pth"
    assert obtain(offer(url), tmp_path).path.read_bytes() == CONTENT
    assert server.asked == [(url, "")]
    monkeypatch.setenv("no_proxy", "weights.example")
    assert "the name weights.example cannot be looked up" in refused(offer(url), tmp_path / "x")
    monkeypatch.delenv("no_proxy")
    with served() as gone:
        closed = f"127.0.0.1:{gone.server_address[1]}"
    monkeypatch.setenv("http_proxy", f"http://me:secret@{closed}")
    assert f"check the network and the proxy http://{closed}, or" in refused(offer(url), tmp_path / "y")


def test_a_full_disk_is_said_and_the_next_call_continues(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "w"
    folder.mkdir()
    # a limit on the size of files stands in for a disk: the kernel refuses to write beyond it
    code = (
        "import errno, resource, signal, sys\nimport hrnet_deploy.files as f\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))\n"
        "f.NO_ROOM.add(errno.EFBIG)\n"
        "from hrnet_deploy.downloads.transfer import fetch\n"
        "from pathlib import Path\n"
        "fetch(sys.argv[1], Path(sys.argv[2]))\n"
    )
    part = folder / f"{Path(server.url).name}.part"
    done = subprocess.run([sys.executable, "-c", code, server.url, str(part)], capture_output=True, text=True)
    assert "Unavailable: no space is left in" in done.stderr and "which continues" in done.stderr
    assert 0 < part.stat().st_size <= 50_000
    assert obtain(offer(server.url), folder).path.read_bytes() == CONTENT
    assert server.asked[-1][1].startswith("bytes=")


def test_a_folder_of_somebody_who_fetched_the_file_takes_the_place_of_the_network(tmp_path: Path) -> None:
    of = offer("http://no-such-name.invalid/hrnet.pth")
    usb = tmp_path / "usb"
    usb.mkdir()
    with pytest.raises(Unavailable, match=r"has no hrnet.pth — get it from http://no-such-name.invalid"):
        obtain(of, source=usb)
    (usb / "hrnet.pth").write_bytes(b"damaged")
    with pytest.raises(BadInput, match="is not the published pose_hrnet_w32_256x192"):
        obtain(of, source=usb)
    assert files(downloads.cache_folder()) == []
    (usb / "hrnet.pth").write_bytes(CONTENT)
    assert obtain(of, source=usb).path.read_bytes() == CONTENT
    assert obtain(of).how == "it was there"  # from now on every command finds it


def test_a_damaged_file_under_the_name_is_refused_and_left_alone(server: Server, tmp_path: Path) -> None:
    target = tmp_path / Path(server.url).name
    target.write_bytes(b"mine")
    with pytest.raises(BadInput, match="move it away"):
        obtain(offer(server.url), tmp_path)
    assert target.read_bytes() == b"mine" and server.asked == []
    with pytest.raises(BadInput, match="is a file — name a folder"):
        obtain(offer(server.url), target)


def test_what_a_killed_process_left_is_continued(server: Server, tmp_path: Path) -> None:
    started, go = threading.Event(), threading.Event()

    def half(to: Handler) -> None:
        Answer(cut=50_000)(to)
        to.wfile.flush()
        started.set()
        go.wait(20)

    server.rules = [half]
    part = tmp_path / "w" / f"{Path(server.url).name}.part"
    with subprocess.Popen([sys.executable, "-c", OTHER, server.url, DIGEST[:8], str(tmp_path / "w")]) as process:
        assert started.wait(20)
        for _ in range(200):
            if part.exists() and part.stat().st_size > 512:
                break
            time.sleep(0.02)
        process.kill()
    go.set()
    there = part.stat().st_size
    assert 0 < there <= 50_000 and files(tmp_path / "w") == [part.name, f"{part.name}.json"]
    assert obtain(offer(server.url), tmp_path / "w").path.read_bytes() == CONTENT
    assert server.asked[-1][1] == f"bytes={there}-"


OTHER = """
import dataclasses, sys
from pathlib import Path
from hrnet_deploy.cards import card
from hrnet_deploy.downloads import Offer, obtain
c = card("pose_hrnet_w32_256x192")
p = dataclasses.replace(c.published[0], url=sys.argv[1], sha256_prefix=sys.argv[2])
print(obtain(Offer("x", c, p), Path(sys.argv[3])).how)
"""


def test_two_processes_download_once(server: Server, tmp_path: Path) -> None:
    """The second waits for the first, which is held up by its server, and then finds the file."""
    started, go = threading.Event(), threading.Event()

    def slowly(to: Handler) -> None:
        started.set()
        go.wait(20)
        whole(to)

    server.rules = [slowly]
    command = [sys.executable, "-c", OTHER, server.url, DIGEST[:8], str(tmp_path / "w")]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.wait(20)
    second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(1)
    go.set()
    assert first.communicate(timeout=20)[0].startswith("downloaded")
    assert second.communicate(timeout=20)[0] == "it was there\n"
    assert len(server.asked) == 1 and files(tmp_path / "w") == [Path(server.url).name]


def test_every_offer_has_a_name_of_its_own_and_a_file_that_says_its_digest() -> None:
    offers = catalogue.offers()
    assert len(offers) == sum(len(c.published) for c in {o.card.name: o.card for o in offers.values()}.values()) > 25
    assert len({o.published.url for o in offers.values()}) == len(offers)
    for name, found in offers.items():
        assert found.published.sha256_prefix in found.file_name, name
        assert len(found.published.sha256_prefix) == 8 and found.published.url.startswith("https://")


def test_the_cache_is_where_the_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert downloads.cache_folder() == tmp_path / "cache" / "checkpoints"
    monkeypatch.delenv(downloads.CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert downloads.cache_folder() == tmp_path / "xdg" / "hrnet-deploy" / "checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert downloads.cache_folder() == tmp_path / ".cache" / "hrnet-deploy" / "checkpoints"
    # nothing is written by asking
    assert files(tmp_path) == []
