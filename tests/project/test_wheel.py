"""The built wheel works in a fresh environment without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from hrnet_deploy.tasks.registry import task_names

ROOT = Path(__file__).parents[2]
# These modules and all modules below them need torch.
NEED_TORCH = {
    "hrnet_deploy.engines.torch_",
    "hrnet_deploy.engines.fused_convolutions",
    "hrnet_deploy.engines.parallel_branches",
    "hrnet_deploy.networks",
    *(f"hrnet_deploy.tasks.{task}.training" for task in task_names()),
}

IMPORT_ALL = """
import importlib, json, pkgutil, hrnet_deploy
failed = {}
for module in pkgutil.walk_packages(hrnet_deploy.__path__, "hrnet_deploy.", onerror=lambda name: None):
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        failed[module.name] = error.name
print(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=True)
    install = [
        str(folder / "bin/pip"),
        "install",
        "-q",
        "--disable-pip-version-check",
        "-c",
        str(ROOT / "constraints.txt"),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "bin"


def call(bin_folder: Path, *arguments: object, code: int = 0) -> str:
    """Run the installed command outside the checkout and require an exit code.

    The result is stderr if the code is an error, otherwise stdout.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [str(bin_folder / "hrnet-deploy"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=bin_folder, env=environment, check=False)
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.mark.slow
def test_the_wheel_carries_cards_checkpoint_and_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for wanted in (
        "hrnet_deploy/py.typed",
        "hrnet_deploy/results/render/page.css",
        "hrnet_deploy/results/chart.css",
        "hrnet_deploy/models/pose_hrnet_w32_256x192.yaml",
        "hrnet_deploy/models/demo/pose_hrnet_w16.safetensors",
        "hrnet_deploy/models/demo/images/annotations.json",
    ):
        assert wanted in names
    assert not [n for n in names if n.endswith(".pyc") or "/tests/" in n]


@pytest.mark.slow
def test_the_base_install_works_without_torch(bin_folder: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    names = [c["name"] for c in json.loads(call(bin_folder, "models", "--json"))]
    assert "pose_hrnet_w16_demo_128x96" in names
    images = next((bin_folder.parent / "lib").glob("python*/site-packages/hrnet_deploy/models/demo/images"))
    assert "missing" in json.loads(call(bin_folder, "doctor", "--json"))["extras"]["export"]
    assert json.loads(call(bin_folder, "inspect", tiny_onnx, "--json"))["precision"] == "fp32"
    assert "19 results" in call(bin_folder, "predict", tiny_onnx, images, "-o", tmp_path / "out")
    assert "ort fp32" in call(bin_folder, "bench", tiny_onnx, "--seconds", "0.1", "--rounds", "6")
    assert "Passed: " in call(bin_folder, "check", tiny_onnx, "--against", tiny_onnx)
    failed = call(bin_folder, "check", tiny_onnx, "--against", tiny_onnx, "--images", images, code=3)
    assert "pip install 'hrnet-deploy[eval]'" in failed  # scoring annotated images needs pycocotools
    failed = call(bin_folder, "export", "pose_hrnet_w16_demo_128x96", "-o", tmp_path / "a.onnx", code=3)
    assert "torch is not installed" in failed


@pytest.mark.slow
def test_only_the_networks_need_torch_to_import(bin_folder: Path) -> None:
    done = subprocess.run(
        [str(bin_folder / "python"), "-c", IMPORT_ALL], capture_output=True, text=True, cwd=bin_folder, check=True
    )
    failed = json.loads(done.stdout)
    of_tensorrt = {
        f"hrnet_deploy.engines.trt.{n}": "pycuda" for n in ("engine", "execution_context", "arena", "rtx_engine")
    }
    assert {n: m for n, m in failed.items() if m != "torch"} == {
        "hrnet_deploy.engines.openvino_": "openvino",
        **of_tensorrt,
    }
    assert {n for n, missing in failed.items() if missing == "torch" and not n.startswith(tuple(NEED_TORCH))} == set()
