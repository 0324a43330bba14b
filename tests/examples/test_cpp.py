"""The C++ example, with a stand-in for the headers everywhere, and in ONNX Runtime where its headers are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import generate
import numpy as np
import pytest
from support.interpreter import ROOT

from hrnet_deploy.tasks.geometry import Crop, crop_of_box
from hrnet_deploy.tasks.images import read_image, write_image

SOURCE = ROOT / "examples/cpp/run_embedded.cpp"
DOUBLE = ROOT / "tests/support/onnxruntime_double"
COMPILER = next((c for c in ("c++", "g++", "clang++") if shutil.which(c)), None)
HEADER = "onnxruntime_cxx_api.h"
PLACES = [
    os.environ.get("ORT_INCLUDE", ""),
    "/usr/include/onnxruntime",
    "/usr/local/include/onnxruntime",
    "/usr/local/include",
]
INCLUDE = next((p for p in PLACES if p and (Path(p) / HEADER).exists()), None)
BOX = (20.0, 10.0, 90.0, 200.0)
SIZE = (128, 96)  # height and width of the demo model's input

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


def compiled(folder: Path, include: Path, *more: str) -> Path:
    program = folder / "run_embedded"
    options = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{include}"]
    subprocess.run([str(COMPILER), *options, str(SOURCE), *more, "-o", str(program)], check=True)
    return program


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn image as a binary PPM."""
    folder = tmp_path_factory.mktemp("image")
    generate.generate(folder, range(1), seed=7)
    write_image(folder / "person.ppm", read_image(folder / "000000.png"))
    return folder / "person.ppm"


@pytest.mark.slow
@needs_compiler
def test_the_program_cuts_the_same_crop_and_brings_keypoints_back_to_the_image(image: Path, tmp_path: Path) -> None:
    height, width = SIZE
    points = np.array([[0.0, 0.0], [48.0, 64.0], [90.25, 12.75]], np.float32)
    scores = np.array([0.9, 0.5, 0.1], np.float32)
    (tmp_path / "outputs").write_bytes(points.tobytes() + scores.tobytes())
    (tmp_path / "model.onnx").touch()
    files = {"DOUBLE_INPUT": str(tmp_path / "crop"), "DOUBLE_OUTPUT": str(tmp_path / "outputs")}
    done = subprocess.run(
        [compiled(tmp_path, DOUBLE), tmp_path / "model.onnx", image, *map(str, BOX)],
        env={**os.environ, **files, "DOUBLE_SHAPE": f"1 {height} {width} 3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    crop = crop_of_box(BOX, width / height)
    assert_same_crop(crop, image, np.fromfile(tmp_path / "crop", np.uint8).reshape(height, width, 3))
    printed = np.array([[float(v) for v in line.split()] for line in done.stdout.splitlines()])
    np.testing.assert_allclose(printed[:, 1:3], crop.to_image(points, width, height), atol=0.006)
    np.testing.assert_allclose(printed[:, 3], scores, atol=1e-4)


def assert_same_crop(crop: Crop, image: Path, found: np.ndarray) -> None:
    """The pixels as the package cuts them, up to OpenCV's interpolation, which rounds positions to 1/32 of a pixel."""
    height, width = SIZE
    wanted = crop.cut(read_image(image), width, height)
    difference = np.abs(found.astype(int) - wanted.astype(int))
    assert difference.mean() < 1.0
    assert np.percentile(difference, 99) <= 8


@pytest.mark.slow
@needs_compiler
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    program = compiled(tmp_path, DOUBLE)
    done = subprocess.run([program, "none.onnx", "none.ppm", "0", "0", "1", "1"], stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "error: none.onnx does not exist\n")


@pytest.mark.slow
@needs_compiler
@pytest.mark.skipif(INCLUDE is None, reason=f"ONNX Runtime's {HEADER} is not installed; ORT_INCLUDE names its folder")
def test_the_program_finds_the_keypoints_that_the_package_finds(
    image: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    import onnxruntime
    from support.demo import NAME

    from hrnet_deploy import Predictor

    libraries = sorted(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.1*"))
    if not libraries:
        pytest.skip("this onnxruntime package holds no library to link with")
    library = libraries[-1]
    program = compiled(tmp_path, Path(str(INCLUDE)), str(library), f"-Wl,-rpath,{library.parent}")
    assert run("export", NAME, "-o", tmp_path / "embedded.onnx", "--embed")[0] == 0
    done = subprocess.run(
        [program, tmp_path / "embedded.onnx", image, *map(str, BOX)], stdout=subprocess.PIPE, text=True, check=True
    )
    printed = np.array([[float(v) for v in line.split()[1:3]] for line in done.stdout.splitlines()])
    wanted = Predictor(tmp_path / "embedded.onnx")(read_image(image), [BOX])[0].points
    assert np.median(np.abs(printed - wanted)) < 0.5
