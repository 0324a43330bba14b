"""The command line. Each command parses its arguments, calls one job of the package, and shows the result."""

from hrnet_deploy.cli import (  # noqa: F401  (each registers its commands)
    adopt,
    choose,
    convert,
    download,
    look,
    measure,
    show,
    use,
)
from hrnet_deploy.cli.app import app, main

__all__ = ["app", "main"]
