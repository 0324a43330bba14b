"""Quantize in Python: `python examples/quantize.py pose.onnx people -o int8.onnx`.

It tries one target after the other and prints what each costs. These are the steps of `hrnet-deploy quantize`, for a
program that makes its own decision.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hrnet_deploy.jobs.quantize import QuantizeRequest, quantize
from hrnet_deploy.progress import Progress
from hrnet_deploy.results import codec
from hrnet_deploy.results.quantization import QuantizeResult
from hrnet_deploy.workflow.split import Split


class Printed(Progress):
    """Progress as lines of text. Without this argument, `quantize` prints nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        print(f"... {name}" + (f" ({total})" if total else ""))


def quantize_for(model: Path, images: Path, output: Path, target: str, max_drop: float | None) -> QuantizeResult:
    """Make an int8 file for one engine, and keep the result beside it as JSON.

    Args:
        model: a float32 ONNX file that `hrnet-deploy export` wrote.
        images: a folder of images with its annotations.
        output: the file to write; it is written only if every check passed.
        target: "ort", "openvino" or "trt".
        max_drop: points of the metric that may be lost; None for the default limit and no search.
    """
    split = Split(images, calibration_images=32, held_out=100, seed=0)
    request = QuantizeRequest(model=model, output=output, split=split, target=target, max_drop=max_drop, force=True)
    result = quantize(request, Printed())
    codec.write(output.with_suffix(".json"), result)
    return result


def summary(result: QuantizeResult) -> str:
    """One line: whether the checks passed, and how far the metric moved on the test set."""
    figures = result.trials[-1].figures
    verdict = "passed" if result.passed else "failed"
    if figures.difference is None or figures.interval is None:
        return f"{result.target}: {verdict}, not scored: {figures.unscored}"
    low, high = figures.interval
    return f"{result.target}: {verdict}, {figures.metric} {figures.difference:+.2f} points ({low:+.2f} to {high:+.2f})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--target", action="append", choices=("ort", "openvino", "trt"))
    parser.add_argument("--max-drop", type=float)
    arguments = parser.parse_args()
    for target in arguments.target or ["ort"]:
        path = arguments.output.with_stem(f"{arguments.output.stem}-{target}")
        print(summary(quantize_for(arguments.model, arguments.images, path, target, arguments.max_drop)))
