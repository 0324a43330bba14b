"""A fresh Python interpreter, and what it has loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


HEAVY = ("torch", "onnxruntime", "onnx", "cv2", "numpy", "msgspec")


def loaded_after(code: str) -> set[str]:
    """Which heavy modules a bare interpreter has loaded after some code."""
    ask = f"import sys\n{code}\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.strip().splitlines()[-1].replace("'", '"')))
