"""Every kind of result file, by its name."""

from __future__ import annotations

from hrnet_deploy.results.adoption import AdoptResult
from hrnet_deploy.results.base import Result
from hrnet_deploy.results.bench import BenchResult
from hrnet_deploy.results.build import BuildResult
from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.comparison import CompareResult
from hrnet_deploy.results.cost_table import CostTableResult
from hrnet_deploy.results.download import DownloadResult
from hrnet_deploy.results.evaluation import EvalResult
from hrnet_deploy.results.export import ExportResult
from hrnet_deploy.results.float16 import HalfResult
from hrnet_deploy.results.prediction import PredictResult
from hrnet_deploy.results.quantization import QuantizeResult, SensitivityResult
from hrnet_deploy.results.run import RunResult
from hrnet_deploy.results.training import TrainingResult
from hrnet_deploy.results.tuning import TuneResult

KINDS: dict[str, type[Result]] = {
    cls.kind: cls
    for cls in (
        AdoptResult,
        BenchResult,
        BuildResult,
        CheckResult,
        CompareResult,
        CostTableResult,
        DownloadResult,
        EvalResult,
        ExportResult,
        HalfResult,
        PredictResult,
        QuantizeResult,
        RunResult,
        SensitivityResult,
        TrainingResult,
        TuneResult,
    )
}


def register(cls: type[Result]) -> type[Result]:
    """Add a kind of result that `codec.read` and `report` can read, for programs outside this package."""
    KINDS[cls.kind] = cls
    return cls
