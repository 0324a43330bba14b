"""onnxsim in a process of its own, believed only after comparing outputs.

It has crashed and it has changed results (onnxsim 452 and others). So it runs where a crash hurts nobody, and
where it fails or outputs move the model stays as it was, with the reason in the file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from hrnet_deploy.graph.metadata import save_model

TOLERANCE = 1e-5  # of the largest output: folding constants reorders sums, nothing more
TIMEOUT = 600


def simplify(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The simplified model, or the given one, and what happened. `feeds` is what outputs are compared on."""
    before = len(model.graph.node)
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "given.onnx"), Path(folder, "simplified.onnx")
        save_model(model, given)
        problem = _in_child(given, result) or _compared(given, result, feeds)
        if problem:
            return model, {"applied": False, "reason": problem.replace(folder, "").strip()}
        simpler = onnx.load_model(str(result))
    return simpler, {"applied": True, "nodes": [before, len(simpler.graph.node)]}


def _in_child(given: Path, result: Path) -> str:
    """Empty where it went well, else the reason in a few words."""
    # -P: what lies in the current folder under the name of a library is not imported
    command = [sys.executable, "-P", "-m", "hrnet_deploy.graph.simplify", str(given), str(result)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"onnxsim took over {TIMEOUT} s"
    if done.returncode < 0:
        return f"onnxsim died of signal {-done.returncode}"
    if done.returncode or not result.exists():
        return (done.stderr.strip().splitlines() or ["onnxsim failed"])[-1][:200]
    return ""


def _compared(given: Path, result: Path, feeds: Mapping[str, Any]) -> str:
    """Empty where both give the same outputs, else what is wrong with the simplified one."""
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
    except Exception as error:  # onnxruntime has a type an error code, all unrelated
        return f"the simplified graph does not run ({type(error).__name__})"
    if [b.shape for b in before] != [a.shape for a in after]:
        return "the simplified graph gives other shapes"
    moved = max(float(np.abs(b - a).max() / max(np.abs(b).max(), 1e-12)) for b, a in zip(before, after, strict=True))
    return "" if moved <= TOLERANCE else f"outputs moved by {moved:.1e} of their maximum"


def _main(given: str, result: str) -> None:
    import onnxsim

    simpler, same = onnxsim.simplify(onnx.load_model(given))
    if not same:
        raise SystemExit("onnxsim's own check of the outputs failed")
    save_model(simpler, Path(result))


if __name__ == "__main__":
    _main(*sys.argv[1:])
