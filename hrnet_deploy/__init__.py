"""hrnet-deploy: a trained HRNet checkpoint in; a verified, measured engine out.

`Predictor("model.onnx")(image)` is the whole of using a model; everything else is on the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hrnet_deploy.jobs.predict import Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Import lazily: `import hrnet_deploy` alone loads neither torch nor onnxruntime."""
    if name == "Predictor":
        from hrnet_deploy.jobs.predict import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
