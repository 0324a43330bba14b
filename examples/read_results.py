"""Read result files: `python examples/read_results.py bench.json check.json`.

Prints one line per figure. `codec.read` validates a file field by field and gives a typed object.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from hrnet_deploy.results import codec
from hrnet_deploy.results.base import Result
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.evaluation import EvalResult
from hrnet_deploy.results.quantization import QuantizeResult


def lines(result: Result) -> Iterator[str]:
    """What a result says, one figure per line. Kinds that are not named here give their kind and command."""
    if isinstance(result, BenchResult):
        for row in result.rows:
            if row.status != "ok":
                yield f"{row.title}: {row.status}, {row.reason}"
                continue
            for name, region in row.regions.items():
                ratio = result.ratio(row, name)
                faster = f", {ratio.ratio:.2f} times faster than the first row" if ratio else ""
                unstable = ", unstable" if region.unstable else ""
                yield f"{row.title} {name}: {region.summary.p50:.2f} ms{faster}{unstable}"
    elif isinstance(result, CheckResult):
        for check in result.checks:
            yield f"{check.name}: {check.value:.6g}, limit {check.limit:g}, {'ok' if check.passed else 'FAILED'}"
    elif isinstance(result, QuantizeResult):
        last = result.trials[-1]
        yield f"{last.convolutions} of {result.convolutions} convolutions in int8"
        yield f"checked on {last.figures.images} images"
        for check in last.checks:
            yield f"{check.name}: {check.value:.6g}, limit {check.limit:g}, {'ok' if check.passed else 'FAILED'}"
    elif isinstance(result, EvalResult):
        for name, value in result.figures.items():
            yield f"{name}: {100 * value:.2f}"
    else:
        yield f"{result.kind}: {result.command}"


def main(paths: list[Path]) -> None:
    for path in paths:
        result = codec.read(path)
        machine = result.environment.cpu.model if result.environment else "an unknown processor"
        print(f"{path}: {result.kind}, measured on {machine}")
        for line in lines(result):
            print(f"  {line}")


if __name__ == "__main__":
    main([Path(p) for p in sys.argv[1:]])
