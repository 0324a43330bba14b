"""A web server on this machine whose answers are as bad as a test wants them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 400  # 102,400 bytes that begin like no web page
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers GET as the server's next rule says. Requests are noted: path and Range."""

    server: Server

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.asked.append((self.path, self.headers.get("Range", "")))
            rule = self.server.rules.pop(0) if self.server.rules else whole
        rule(self)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


Rule = Callable[[Handler], None]


class Server(ThreadingHTTPServer):
    """`rules` are used up one per request; then every request gets the whole content."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rules: list[Rule] = []
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that a rule cut off."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hrnet_w32-{DIGEST[:8]}_20220909.pth"


@contextmanager
def served(*rules: Rule) -> Iterator[Server]:
    """A running server with these rules."""
    server = Server()
    server.rules = list(rules)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Answer:
    """A rule: the content from where it is asked for (unless `ranges` is off), with things that are wrong with it.

    cut: bytes after which the connection ends. claimed: the Content-Length; the true one unless given, none for -1.
    tag: the ETag. body: other content. kind: the Content-Type. shift: by how much a range begins too late.
    """

    cut: int | None = None
    claimed: int | None = None
    ranges: bool = True
    tag: str = '"one"'
    body: bytes = field(default=CONTENT, repr=False)
    kind: str = "application/octet-stream"
    shift: int = 0

    def __call__(self, to: Handler) -> None:
        start = 0
        asked = to.headers.get("Range", "")
        if self.ranges and asked and to.headers.get("If-Range", self.tag) == self.tag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(self.body):
                return refuse(416, f"bytes */{len(self.body)}")(to)
            start += self.shift
        rest = self.body[start:]
        to.send_response(206 if start else 200)
        if start:
            to.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        if self.claimed != -1:
            to.send_header("Content-Length", str(len(rest) if self.claimed is None else self.claimed))
        if self.tag:
            to.send_header("ETag", self.tag)
        to.send_header("Content-Type", self.kind)
        to.end_headers()
        to.wfile.write(rest if self.cut is None else rest[: self.cut])


whole = Answer()


def refuse(code: int, content_range: str = "") -> Rule:
    """A rule that answers with a status and nothing else."""

    def rule(to: Handler) -> None:
        to.send_response(code)
        if content_range:
            to.send_header("Content-Range", content_range)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return rule


def redirect(target: str) -> Rule:
    """A rule that sends to another address."""

    def rule(to: Handler) -> None:
        to.send_response(302)
        to.send_header("Location", target)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return rule
