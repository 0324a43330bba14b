"""hrnet-deploy turns a trained HRNet checkpoint into an ONNX file and an engine that are verified against PyTorch and
measured.

`Predictor("model.onnx")(image)` gives predictions for an image. Everything else is on the command line, and in
`hrnet_deploy.jobs` for programs: a request in, a typed result out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hrnet_deploy.version import __version__

if TYPE_CHECKING:
    from hrnet_deploy.jobs.predict import Predictor

__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Import lazily: `import hrnet_deploy` alone loads neither torch nor onnxruntime."""
    if name == "Predictor":
        from hrnet_deploy.jobs.predict import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
