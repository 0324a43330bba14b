"""A small typed example of every kind of result, made by hand: nothing is measured and nothing is opened."""

from __future__ import annotations

import dataclasses
from typing import Any

from hrnet_deploy.results.adoption import AdoptResult
from hrnet_deploy.results.base import Cpu, EngineInfo, Environment, Figure, Result, Skipped
from hrnet_deploy.results.bench import BenchResult, BenchRow, LayerTime, Region
from hrnet_deploy.results.build import BuildResult
from hrnet_deploy.results.check import CheckResult
from hrnet_deploy.results.comparison import Change, CompareResult
from hrnet_deploy.results.cost_table import (
    CostTableEntry,
    CostTableResult,
    CostTableSettings,
    PaperFigures,
    Parity,
    Score,
)
from hrnet_deploy.results.download import DownloadResult
from hrnet_deploy.results.evaluation import EvalResult
from hrnet_deploy.results.export import ExportResult
from hrnet_deploy.results.figures import Budget, Check, Distance, TaskFigures, TensorFigures
from hrnet_deploy.results.float16 import HalfResult
from hrnet_deploy.results.prediction import PredictResult
from hrnet_deploy.results.quantization import (
    BlockCost,
    QuantizeResult,
    SensitivityResult,
    SpeedComparison,
    Trial,
)
from hrnet_deploy.results.run import RunResult, RunStage
from hrnet_deploy.results.training import TrainingResult, TrainingRow
from hrnet_deploy.results.tuning import Candidate, TuneResult
from hrnet_deploy.stats import Ratio

CARD = "pose_hrnet_w32_256x192"
ENVIRONMENT = Environment(
    cpu=Cpu(
        model="AMD EPYC 7B13",
        cores=8,
        affinity=2,
        threads_available=2,
        memory_gib=31.2,
        cgroup_quota=2.0,
        features=("avx2", "avx512_vnni"),
    ),
    python="3.12.4",
    system="Linux 6.1.0",
    libraries={"torch": "2.6.0", "onnxruntime": "1.21.1"},
    commit="0123456789ab",
    variables={"OMP_NUM_THREADS": "2"},
)
STARTED = "2026-11-21T13:26:27+00:00"
INFO = EngineInfo(provider="CPUExecutionProvider", threads=2, note="the file is older than this version")


def origin(command: str) -> dict[str, Any]:
    """The envelope of a result."""
    return {"command": f"hrnet-deploy {command}", "started": STARTED, "environment": ENVIRONMENT}


def region(milliseconds: float, unsteady: bool = False) -> Region:
    """Eight rounds around a median, with a spread of a few percent, or one that is too large to rely on."""
    spread = 0.25 if unsteady else 0.01
    return Region([[milliseconds * (1 + spread * (i - 3.5) / 3.5), milliseconds] for i in range(8)], not unsteady)


def row(engine: str, precision: str, milliseconds: float, **changes: object) -> BenchRow:
    """A row that was measured."""
    made = BenchRow(
        engine=engine,
        model=f"{precision}.onnx",
        card=CARD,
        precision=precision,
        weights="trained",
        batch=1,
        threads=2,
        input_size="256x192",
        device="cpu",
        info=EngineInfo(provider="CPU", threads=2, mode="eager" if engine.startswith("torch") else ""),
        cold={"import_s": 0.4, "open_s": 0.21, "first_inference_s": 0.12},
        memory={"rss_before_open": 91_000_000, "peak_rss_over_before": 151_000_000, "file": 114_000_000},
        regions={"compute": region(0.97 * milliseconds), "end_to_end": region(milliseconds)},
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def bench(**changes: object) -> BenchResult:
    """Five rows: the base, a faster one, int8, one that failed and one that is not available."""
    lost: dict[str, Any] = {"regions": {}, "memory": {}, "cold": {}}
    layers = [LayerTime(f"layer{i}", float(i)) for i in range(1, 31)]
    rows = [
        row("torch", "fp32", 72.9, remark="the operators of the detector are our own"),
        row("ort", "fp32", 32.8, layers=layers),
        row("ort", "int8", 12.4, batch=1, info=dataclasses.replace(INFO, in_flight=4)),
        row("openvino", "int8", 11.9, regions={"end_to_end": region(11.9, unsteady=True)}, weights="random"),
        row("ort", "int8", 90.1, batch=8, memory={"peak_rss_over_before": 221_000_000}),
        row("openvino", "fp32", 1.0, status="failed", reason="the process was killed by signal 9", **lost),
        row("trt", "int8", 1.0, status="unavailable", reason="this machine has no NVIDIA driver", **lost),
    ]
    made = BenchResult(
        rows=rows, load_before=(1.51, 1.47, 1.69), load_after=(2.23, 1.68, 1.75), **origin("bench pose.onnx -o b.json")
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def tensors(inputs: str = "images") -> list[TensorFigures]:
    return [TensorFigures("heatmaps", inputs, Figure(3.1e-3), Figure(4.2e-4), Figure(0.99999), 61.24, True)]


def task(drop: float = -0.31, **changes: object) -> TaskFigures:
    """A comparison on images, with a score."""
    made = TaskFigures(
        images=500,
        samples=731,
        tensors=tensors(),
        distance=Distance(
            {"pixels_mean": Figure(0.123), "moved_over_1px": Figure(0.0125), "score_relative": Figure(0.013)},
            "731 people, 12427 keypoints: moved 0.1230 px on average",
        ),
        metric="AP",
        reference={"AP": Figure(0.7444), "AP50": Figure(0.9051)},
        engine={"AP": Figure(0.7444 + drop / 100), "AP50": Figure(0.9032)},
        difference=drop,
        interval=(drop - 0.4, drop + 0.35),
        protocol={"boxes": "ground truth", "flip_test": False},
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def unscored() -> TaskFigures:
    """The same on images without annotations."""
    nothing: dict[str, Any] = {"reference": {}, "engine": {}, "difference": None, "interval": None, "protocol": {}}
    return task(unscored="the annotations have no keypoints", **nothing)


def checks(passed: bool = True) -> list[Check]:
    """Two figures with their limits, and where the verdict is no, one that could not be computed."""
    found = [Check("heatmaps relative", Figure(4.2e-4), 0.001, True), Check("AP", Figure(0.31), 0.5, True)]
    return found if passed else [*found, Check("pixels_mean", Figure("nan"), 0.05, False)]


def check(passed: bool = True) -> CheckResult:
    return CheckResult(
        model="pose.onnx",
        against="w32.pth",
        engine="ort",
        engine_info=INFO,
        precision="fp32",
        card=CARD,
        images="val2017",
        flip_test=False,
        tensors=tensors("noise"),
        task=task() if passed else unscored(),
        budget=Budget(0.001, 0.5, {"pixels_mean": 0.05}),
        checks=checks(passed),
        first_difference="" if passed else "stage3.1.branches.0.2.bn1 (node Conv_41), off by 3.1e-02 of its maximum",
        warning="" if passed else "the file says it was made from another checkpoint (sha256 0a1b2c3d)",
        **origin("check pose.onnx --against w32.pth"),
    )


def export(passed: bool = True) -> ExportResult:
    return ExportResult(
        path="pose.onnx",
        summary="HRNetV1-W32 with 17 keypoints, from an official checkpoint",
        card=CARD,
        input_size="256x192",
        history=[
            {"step": "export", "exporter": "dynamo", "opset": 20, "dynamic": ["batch"]},
            {"step": "simplify", "applied": False, "reason": "the outputs differed by 2e-4"},
        ],
        provenance={"checkpoint": "ab" * 32},
        tensors=tensors("noise"),
        task=task(0.0),
        checks=checks(passed),
        engine="ort",
        engine_info=INFO,
        assumption="it upsamples with align_corners, which the weights do not show",
        size=114_300_000,
        **origin("export w32.pth -o pose.onnx"),
    )


def adopt(passed: bool = True) -> AdoptResult:
    return AdoptResult(
        path="pose.onnx" if passed else None,
        source="end2end.onnx",
        producer="pytorch 2.1.0",
        opset=11,
        card=CARD,
        input_size="256x192",
        summary="HRNetV1-W32 pose, 17 keypoints",
        takes=["input float 1x3x256x192"],
        gives=["output float 1x17x64x48"],
        found=["the layout of its input is NCHW", "all 293 layers have the weights of the checkpoint"],
        assumed=["its input is normalised outside the graph, with the mean of the card"],
        changed=["opset 11 is converted to 20"],
        history=[{"step": "adopt", "producer": "pytorch 2.1.0", "opset": 20}],
        provenance={"onnx": "a" * 64},
        tensors=task(0.01).tensors,
        checks=checks(passed),
        named=293,
        layers=293,
        against="weights.pth" if passed else "",
        task=task(0.01) if passed else None,
        size=114_000_000 if passed else 0,
        **origin("adopt end2end.onnx -o pose.onnx"),
    )


def half(passed: bool = True) -> HalfResult:
    return HalfResult(
        path="fp16.onnx" if passed else None,
        card=CARD,
        precision="fp16",
        kept=["node_add_1", "node_add_2"],
        large=[(f"tensor_{i}", 70_000.0 + i) for i in range(10)],
        figures=task(0.01),
        checks=checks(passed),
        size=57_100_000 if passed else 0,
        **origin("half pose.onnx -o fp16.onnx"),
    )


BLOCKS = [
    BlockCost("conv1", 1, 38.2),
    BlockCost("stage2.0.branches.0.*", 8, None),
    BlockCost("final_layer", 1, 31.04),
]


def quantize(passed: bool = True) -> QuantizeResult:
    """A search that passed on the test set, or one that did not find anything on the validation set."""
    trials = [Trial((), 292, task(-0.9), checks(False), "validation")]
    if passed:
        trials += [
            Trial(("final_layer",), 291, task(-0.21), checks(), "validation"),
            Trial(("final_layer",), 291, task(-0.24), checks(), "test"),
        ]
    return QuantizeResult(
        path="int8.onnx" if passed else None,
        card=CARD,
        target="ort",
        method="mse",
        images=64,
        samples=81,
        tensors=454,
        trials=trials,
        blocks=BLOCKS,
        convolutions=292,
        outliers={"000000001.jpg": ("stage4.0.add_3", 31.0)},
        all_zero=["stage2.0.relu_7"],
        warnings=["7-bit weights, because this processor has no VNNI"],
        speed=speed() if passed else SpeedComparison("ort", missing="this machine has no NVIDIA driver"),
        size=29_400_000 if passed else 0,
        **origin("quantize pose.onnx -o int8.onnx --images val2017"),
    )


def speed() -> SpeedComparison:
    times = {"float": 71.3, "all int8": 23.2, "as made": 25.04}
    return SpeedComparison("ort", times, Ratio(2.85, 2.71, 2.99), Ratio(1.08, 1.06, 1.11))


def sensitivity() -> SensitivityResult:
    blocks = [dataclasses.replace(b, in_float=b.pattern == "final_layer") for b in BLOCKS]
    return SensitivityResult(
        card=CARD, target="ort", method="mse", written=True, blocks=blocks, speed=speed(), **origin("quantize")
    )


def evaluation() -> EvalResult:
    return EvalResult(
        model="pose.onnx",
        model_sha256="cd" * 32,
        card=CARD,
        precision="fp32",
        engine="ort",
        engine_info=INFO,
        metric="AP",
        figures={"AP": Figure(0.7444), "AP50": Figure(0.9051)},
        protocol={"boxes": "ground truth", "flip_test": False},
        images=5000,
        data="val2017",
        annotations={"file": "person_keypoints_val2017.json", "sha256": "ef" * 32},
        published="AP 74.4 on COCO val2017 with detected boxes",
        **origin("eval pose.onnx --data val2017"),
    )


def build() -> BuildResult:
    return BuildResult(
        output="int8.plan",
        size=31_000_000,
        card=CARD,
        precision="int8",
        onnx={"name": "int8.onnx", "sha256": "01" * 32},
        builder="TensorRT 11.4",
        identity={"gpu": "NVIDIA H100", "compute_capability": "9.0", "driver": "580.1"},
        profiles={"image": [[1, 3, 256, 192], [8, 3, 256, 192], [32, 3, 256, 192]]},
        build_seconds=93.4,
        engine_info=EngineInfo(layer_counts={"int8": 210, "float": 31}, memory={"activations": 41_000_000}),
        warning="one branch has a width that is no multiple of 4",
        **origin("build int8.onnx -o int8.plan"),
    )


def tune() -> TuneResult:
    measured = bench()
    found = [
        Candidate("ort", 2, "int8", "quantize pose.onnx -o int8.onnx", task(-0.24), "", 12.4, task(-0.29)),
        Candidate("ort", 2, "fp32", "", task(0.0), "", 32.8),
        Candidate("openvino", 2, "int8", "quantize --target openvino", task(-1.4), "AP moved by 1.40, over 0.5"),
    ]
    return TuneResult(
        output="best.onnx",
        card=CARD,
        candidates=found,
        result=measured,
        faster_than_base=Ratio(5.88, 5.71, 6.04),
        verdict="ort int8 is 2.65x ort fp32 here",
        commands=["hrnet-deploy quantize pose.onnx -o best.onnx", "hrnet-deploy bench best.onnx"],
        seconds=372.0,
        **origin("tune pose.onnx -o best.onnx"),
    )


def run(passed: bool = True) -> RunResult:
    stages = [
        RunStage("export", True, "export.json", task(0.0), reused=True),
        RunStage("int8_ort", passed, "int8_ort.json", task(-0.24), redone="the images are others"),
        RunStage("check int8 in ort", passed, "check.json", unscored()),
    ]
    return RunResult(folder="out", stages=stages, result=bench(), **origin("run w32.pth -o out"))


def predict() -> PredictResult:
    return PredictResult(
        folder="found",
        model="pose.onnx",
        card=CARD,
        images=3,
        results=11,
        pictures=["found/a.jpg", "found/b.jpg"],
        engine="ort",
        engine_info=INFO,
        boxes={"boxes_of": "category 7 (worker), the only one with keypoints", "boxes_left_out": "2 of 13"},
        **origin("predict pose.onnx photos -o found"),
    )


def download() -> DownloadResult:
    return DownloadResult(
        name=CARD,
        card=CARD,
        path="cache/checkpoints/w32-81c58e40.pth",
        size=115_000_000,
        sha256="81c58e40" + 56 * "0",
        url="https://example.org/w32-81c58e40.pth",
        how="downloaded from https://example.org/w32-81c58e40.pth",
        published="AP 74.6 on COCO val2017",
        **origin(f"download {CARD}"),
    )


def compare() -> CompareResult:
    changes = [
        Change(f"ort fp32 {CARD} batch 1, 2 threads", "latency", "ms", 32.8, 36.1, True, True, "latency=5%", True),
        Change(f"ort fp32 {CARD} batch 1, 2 threads", "memory", "MB", 151.0, 152.0, False, False),
        Change(f"{CARD} on 500 images", "ap", "points", 74.1, 74.6, True, False),
        Change(f"{CARD} on 500 images", "missing", "share", 0.0, 0.02, True, True),
    ]
    return CompareResult(
        base="main.json",
        new="branch.json",
        changes=changes,
        only_base=["torch fp32"],
        only_new=["openvino fp32"],
        **origin("compare main.json branch.json"),
    )


def training() -> TrainingResult:
    rows = [
        TrainingRow(16, "256x192", 5_412_000_000, 9.41, [[9410.0], [9380.0], [9470.0]]),
        TrainingRow(32, "256x192", status="failed", reason="it needs 38 GiB"),
    ]
    return TrainingResult(rows=rows, card="pose_hrnet_w48_256x192", **origin("bench --train"))


def cost_table() -> CostTableResult:
    """Three networks: one measured, one with a row that failed, one that could not be measured."""
    paper = PaperFigures(
        training_memory_gb=7.3,
        inference_memory_gb=0.27,
        training_s=1.231,
        inference_s=0.058,
        inference_static_s=0.017,
        score=75.1,
        metric="AP",
        training_input="256x192",
        training_batch=128,
        hardware={"inference": "one V100"},
    )
    measured = bench(command="", started="", environment=None)
    lost = {"status": "failed", "reason": "the process was killed by signal 9", "regions": {}, "memory": {}, "cold": {}}
    failed = [dataclasses.replace(r, **lost) if r.precision == "int8" else r for r in measured.rows]  # type: ignore[arg-type]
    entry = CostTableEntry("First", "pose", "pose_hrnet_w48_256x192", "256x192", paper)
    entries = [
        dataclasses.replace(
            entry,
            result=measured,
            training=training(),
            score=Score("AP", 74.6, "COCO val2017", [Skipped("val2017/7.jpg", "is cut off")]),
            parity=Parity(3e-6, "moved 0.0001 px"),
        ),
        dataclasses.replace(entry, name="Second", result=dataclasses.replace(measured, rows=failed)),
        dataclasses.replace(
            entry,
            name="Third",
            paper=dataclasses.replace(paper, inference_static_s=None),
            reason="the 120 minutes were over before it",
        ),
    ]
    return CostTableResult(
        settings=CostTableSettings(("torch", "ort"), False, "", "", 5.0, 12, 2),
        columns=entries,
        **origin("bench -o cost_table.json"),
    )


def examples() -> dict[str, list[Result]]:
    """Every kind by its name, with what passed and what did not."""
    found: list[Result] = [bench(), build(), cost_table(), training(), evaluation(), predict(), compare(), tune()]
    found.append(download())
    found += [sensitivity()]
    for make in (adopt, check, export, half, quantize, run):
        found += [make(), make(passed=False)]
    kinds: dict[str, list[Result]] = {}
    for result in found:
        kinds.setdefault(result.kind, []).append(result)
    return kinds
