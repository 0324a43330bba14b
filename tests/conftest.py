"""Shared fixtures: a network small enough to export in seconds, its checkpoint, and files made of it once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    # each process of a parallel run gets its own cores before PyTorch counts them, so that none waits for another
    cores, workers = sorted(os.sched_getaffinity(0)), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.sched_setaffinity(0, cores[int(worker[2:]) % len(cores) :: workers] or cores)

import torch
from support.said import record
from support.tiny import DETECTOR, FRAME, SEG_SIZE, SIZE, TINY, TINY_SEG

from hrnet_deploy.networks import build_network, random_weights

record()  # which error messages the tests make appear, if `make test` asks for it


@pytest.fixture(scope="session")
def tiny_network() -> torch.nn.Module:
    network = build_network(TINY)
    random_weights(network, seed=3)
    return network


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoints") / "tiny.pth"
    torch.save(tiny_network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def tiny_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a detector that finds something on every image."""
    network = build_network(DETECTOR)
    random_weights(network, seed=4)
    path = tmp_path_factory.mktemp("checkpoints") / "detector.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def detector_onnx(tiny_detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export

    path = tmp_path_factory.mktemp("onnx") / "detector.onnx"
    done = export(ExportRequest(str(tiny_detector), path, ExportOptions(size=FRAME)))
    assert done.passed, done.checks
    return path


@pytest.fixture(scope="session")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`exported(batch=2)` -> an ONNX file of the tiny network with those options, made once, with its report."""
    return exporter(tiny_checkpoint, SIZE, tmp_path_factory.mktemp("onnx"))


def exporter(checkpoint: Path, size: tuple[int, int], folder: Path) -> Callable[..., Path]:
    """Exports a checkpoint with the options it is called with, once for the same ones."""
    from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
    from hrnet_deploy.results import codec

    made: dict[str, Path] = {}

    def make(**options: object) -> Path:
        key = repr(sorted(options.items()))
        if key not in made:
            path = folder / f"tiny{len(made)}.onnx"
            given = ExportOptions(size=size, **options)  # type: ignore[arg-type]
            done = export(ExportRequest(str(checkpoint), path, given))
            assert done.passed, done.checks
            codec.write(path.with_suffix(".json"), done)
            made[key] = path
        return made[key]

    return make


@pytest.fixture(scope="session")
def tiny_onnx(exported: Callable[..., Path]) -> Path:
    return exported()


@pytest.fixture(scope="session")
def seg_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = build_network(TINY_SEG)
    random_weights(network, seed=3)
    path = tmp_path_factory.mktemp("checkpoints") / "tiny_seg.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="session")
def exported_seg(seg_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """As `exported`, of the tiny segmentation network."""
    return exporter(seg_checkpoint, SEG_SIZE, tmp_path_factory.mktemp("onnx_seg"))


@pytest.fixture(scope="session")
def checked(tiny_onnx: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of `check` on annotated images, as a file."""
    import generate

    from hrnet_deploy.jobs.check import CheckRequest, check
    from hrnet_deploy.results import codec

    folder = tmp_path_factory.mktemp("checked")
    generate.generate(folder / "people", range(6), seed=41)
    report = check(CheckRequest(tiny_onnx, str(tiny_checkpoint), images=folder / "people"))
    assert report.task.difference is not None
    codec.write(folder / "check.json", report)
    return folder / "check.json"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the command line as a user would: its exit code, stdout and stderr."""
    from hrnet_deploy.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["hrnet-deploy", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
        out, err = capfd.readouterr()
        return code, out, err

    return call
