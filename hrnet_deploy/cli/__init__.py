"""The command line. Each command parses its arguments, calls one job of the package, and shows the result."""

from hrnet_deploy.cli import adopt, choose, convert, look, measure, show, use  # noqa: F401  (each registers its commands)
from hrnet_deploy.cli.app import app, main

__all__ = ["app", "main"]
