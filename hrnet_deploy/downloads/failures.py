"""What it means that a web address gives no content: a sentence with its cure, or that another connection may do
better."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from urllib import request as web
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from hrnet_deploy.errors import Unavailable

LATER = {408, 425, 429, *range(500, 600)}  # answers that may be others a moment later


class Broken(Exception):
    """A connection that ended early. The next one may do better."""


def refused(url: str, error: HTTPError) -> Exception:
    """What an answer without content means."""
    if error.code in LATER:
        return Broken(f"the server answered {error.code} {error.reason}")
    if error.code in (404, 410):
        return Unavailable(
            f"{url} is no longer there (the server answered {error.code}) — get the file elsewhere and name its "
            "folder with `download --from`"
        )
    if 300 <= error.code < 400:
        return Unavailable(
            f"{url} leads in a circle or to no web address — open it in a browser to see, or get the file elsewhere "
            "and name its folder with `download --from`"
        )
    if error.code == 407:
        return Unavailable(
            f"the proxy {_proxy(url)} wants a name and a password — write them into HTTPS_PROXY: "
            "http://NAME:PASSWORD@HOST"
        )
    return Unavailable(
        f"{url} is refused (the server answered {error.code} {error.reason}) — get the file elsewhere and name its "
        "folder with `download --from`"
    )


def unreachable(url: str, error: Exception) -> Exception:
    """Why no connection came about."""
    cause: object = error.reason if isinstance(error, URLError) else error
    proxy = _proxy(url)
    host = urlsplit(proxy or url).hostname or proxy or url
    through = f" and the proxy {proxy}" if proxy else ", set HTTPS_PROXY if there is a proxy"
    if isinstance(cause, socket.gaierror):
        return Unavailable(
            f"the name {host} cannot be looked up ({cause.strerror}) — check the network{through}, or get the file "
            "elsewhere and name its folder with `download --from`"
        )
    if isinstance(cause, ssl.SSLError):
        return Unavailable(
            f"the connection to {host} is not secure ({cause.reason or cause}) — name the certificates of your network "
            "with SSL_CERT_FILE, or get the file elsewhere and name its folder with `download --from`"
        )
    if isinstance(cause, TimeoutError | ConnectionResetError | http.client.HTTPException):
        return Broken(str(cause) or type(cause).__name__)
    return Unavailable(
        f"{host} cannot be reached ({getattr(cause, 'strerror', None) or cause}) — check the network{through}, or "
        "get the file elsewhere and name its folder with `download --from`"
    )


def _proxy(url: str) -> str:
    """The proxy through which an address is asked for, without the password in it; empty without one."""
    parts = urlsplit(url)
    with contextlib.suppress(OSError):
        if web.proxy_bypass(parts.hostname or ""):
            return ""
    return re.sub("//[^/]*@", "//", web.getproxies().get(parts.scheme, ""))
