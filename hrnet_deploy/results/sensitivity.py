"""The files of `quantize --sensitivity`: the cost of quantizing each block alone, as JSON or as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import atomic_write, check_output
from hrnet_deploy.results import codec
from hrnet_deploy.results.quantization import QuantizeResult

TABLE, PICTURE = ".json", ".svg"


def check_outputs(paths: Sequence[Path], force: bool) -> None:
    """Check before the work that the files can be written after it. Raises BadInput."""
    for path in paths:
        if path.suffix not in (TABLE, PICTURE):
            raise BadInput(
                f"--sensitivity {path} is neither a table nor a picture — name a file that ends in {TABLE} or {PICTURE}"
            )
        check_output(path, force)


def write(path: Path, result: QuantizeResult) -> None:
    """Write the table or the picture of all blocks, depending on the suffix."""
    from hrnet_deploy.results.charts import picture
    from hrnet_deploy.results.documents.quantize import block_chart, marked

    found = marked(result)
    if path.suffix == TABLE:
        codec.write(path, found)
        return
    chart = block_chart(found.blocks, f"{result.card}: what each block costs in int8 for {result.target}")
    with atomic_write(path) as part:
        part.write_text(picture(chart), encoding="utf-8")
