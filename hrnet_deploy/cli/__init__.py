"""The command line: each command parses, calls one function of the package and renders what it gives."""

from hrnet_deploy.cli import choose, convert, look, measure, show, use  # noqa: F401  (each registers its commands)
from hrnet_deploy.cli.app import app, main

__all__ = ["app", "main"]
