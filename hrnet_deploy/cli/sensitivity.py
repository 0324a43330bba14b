"""`quantize --sensitivity`: what each block costs, as a table in JSON or as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output

if TYPE_CHECKING:
    from hrnet_deploy.results.quantization import QuantizeResult

SUFFIXES = (".json", ".svg")


def check_tables(paths: Sequence[Path], force: bool) -> None:
    """Refuse, before the work, files that could not be written after it. Raises BadInput."""
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise BadInput(f"--sensitivity {path} is neither a table nor a picture — name a .json or .svg file")
        check_output(path, force)


def write_tables(paths: Sequence[Path], result: QuantizeResult) -> None:
    """Write each file in the format that its suffix names."""
    from hrnet_deploy.results.codec import write
    from hrnet_deploy.results.quantization import SensitivityResult

    table = SensitivityResult.of(result)
    for path in paths:
        if path.suffix == ".json":
            write(path, table)
            continue
        from hrnet_deploy.results.sensitivity_picture import sensitivity_svg

        with atomic_write(path) as part:
            part.write_text(sensitivity_svg(table), encoding="utf-8")
