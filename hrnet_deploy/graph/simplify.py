"""Simplify a graph with onnxsim, in a separate process, and keep the result only if the outputs stay the same.

onnxsim has crashed and has changed results before (onnxsim issue 452 and others). A crash of the separate process does
no harm. If onnxsim fails or an output changes, the model stays unsimplified and the exported file records the reason.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import onnx

from hrnet_deploy.files import temporary_folder
from hrnet_deploy.graph.metadata import save_model

# The largest change of an output that is accepted, relative to its maximum. Folding constants changes the order of
# sums, and nothing else is expected to change the outputs.
TOLERANCE = 1e-5
TIMEOUT = 600  # seconds


class SimplifyFacts(TypedDict, total=False):
    """What the history of an exported file says about this step.

    `applied` is always there. `reason` says why the model was not simplified; `nodes` are the numbers of operators
    before and after.
    """

    applied: bool
    reason: str
    nodes: list[int]


def simplify(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> tuple[onnx.ModelProto, SimplifyFacts]:
    """Simplify a model.

    Args:
        model: the model; it is not changed.
        feeds: input arrays by name, on which the outputs before and after are compared.

    Returns:
        The simplified model and the facts, or the given model and the reason why it was not simplified.
    """
    before = len(model.graph.node)
    with temporary_folder() as folder:
        given, result = folder / "given.onnx", folder / "simplified.onnx"
        save_model(model, given)
        problem = _in_child(given, result) or _output_change(given, result, feeds)
        if problem:
            return model, {"applied": False, "reason": problem.replace(str(folder), "").strip()}
        simpler = onnx.load_model(str(result))
    return simpler, {"applied": True, "nodes": [before, len(simpler.graph.node)]}


def _in_child(given: Path, result: Path) -> str:
    """Run onnxsim in a child process. The result is empty if it succeeded, otherwise the reason of the failure."""
    # -P keeps Python from importing files of the current folder that are named like a library
    command = [sys.executable, "-P", "-m", "hrnet_deploy.graph.simplify", str(given), str(result)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"onnxsim took over {TIMEOUT} s"
    if done.returncode == errno.ENOSPC:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if done.returncode < 0:
        return f"onnxsim died of signal {-done.returncode}"
    if done.returncode or not result.exists():
        return (done.stderr.strip().splitlines() or ["onnxsim failed"])[-1][:200]
    return ""


def _output_change(given: Path, result: Path, feeds: Mapping[str, Any]) -> str:
    """What is wrong with the simplified model's outputs. The result is empty if they agree with the given model's."""
    import onnxruntime

    def run(path: Path) -> list[np.ndarray]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return [np.asarray(o) for o in session.run(None, dict(feeds))]

    before = run(given)
    try:
        after = run(result)
    except Exception as error:  # onnxruntime has an unrelated exception type for each error code
        return f"the simplified graph does not run ({type(error).__name__})"
    if [b.shape for b in before] != [a.shape for a in after]:
        return "the simplified graph has outputs of other shapes"
    moved = max(float(np.abs(b - a).max() / max(np.abs(b).max(), 1e-12)) for b, a in zip(before, after, strict=True))
    return "" if moved <= TOLERANCE else f"outputs changed by {moved:.1e} of their maximum"


def _main(given: str, result: str) -> None:
    import onnxsim

    simpler, same = onnxsim.simplify(onnx.load_model(given))
    if not same:
        raise SystemExit("onnxsim's own check of the outputs failed")
    try:
        save_model(simpler, Path(result))
    except OSError as error:
        sys.exit(error.errno)


if __name__ == "__main__":
    _main(*sys.argv[1:])
