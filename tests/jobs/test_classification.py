"""A classifier all the way: exported, checked, quantized, embedded, scored, used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import generate
import numpy as np
import pytest
import torch
from drawn.things import NAMES
from support.tiny import CLASSIFIER_SIZE, TINY_CLASSIFIER

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source
from hrnet_deploy.graph.index import GraphIndex
from hrnet_deploy.graph.metadata import load_model, read_description
from hrnet_deploy.graph.quantize import TARGETS, block_of, fusion_of, place
from hrnet_deploy.image_input import Input
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.base import dataset_samples, task_of
from hrnet_deploy.tasks.classification.labels import ImageClasses
from hrnet_deploy.tasks.loading import load_dataset

QUICK = ("--exporter", "torchscript")  # the other exporter takes three times as long; test_export covers it
Run = Callable[..., tuple[int, str, str]]
KNOWN = NAMES[:6]
CARD = ModelCard("six", TINY_CLASSIFIER, Input(*CLASSIFIER_SIZE, fit="centre"), "six-things", ImageClasses(KNOWN))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of six classes that the network has, and of six that it does not have."""
    folder = tmp_path_factory.mktemp("things")
    generate.generate_things(folder, range(48), seed=5)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = build_network(TINY_CLASSIFIER)
    random_weights(network, seed=3)
    path = tmp_path_factory.mktemp("checkpoints") / "six.pth"
    torch.save(network.state_dict(), path)
    path.with_suffix(".yaml").write_text(json.dumps(CARD.to_dict()))
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hrnet_deploy.cli import app

    path = tmp_path_factory.mktemp("onnx") / "six.onnx"
    options = ["-o", str(path), "--card", str(checkpoint.with_suffix(".yaml"))]
    app(["export", str(checkpoint), *options], standalone_mode=False)
    return path


def accuracy(model: Path, images: Path) -> float:
    """top-1 of a file, from its outputs alone."""
    engine, task, right = open_engine("ort", Source(CARD, model)), task_of(CARD), []
    for item, _, (sample,) in dataset_samples(task, load_dataset(images)):
        if item.path.parent.name in KNOWN:
            (logits,) = engine.run(sample.feed).values()
            right.append(KNOWN[int(np.argmax(logits))] == item.path.parent.name)
    return float(np.mean(right))


def test_check_eval_and_predict(exported: Path, checkpoint: Path, images: Path, tmp_path: Path, run: Run) -> None:
    assert read_description(exported).card == CARD
    code, out, err = run("check", exported, "--against", checkpoint, "--images", images)
    assert code == 0, out + err
    assert "0.00% have another first class" in out and "top-1 difference, points" in out

    code, out, err = run("eval", exported, "--data", images, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["metric"] == "top-1" and set(found["figures"]) == {"top-1", "top-5"}
    assert found["figures"]["top-1"] == pytest.approx(accuracy(exported, images))
    assert found["annotations"] == {"folder": str(images)}
    assert found["protocol"]["crop_ratio"] == 0.875
    assert found["protocol"]["classes_not_scored"] == "6 of 12 (fish, house, key, plant, sign, umbrella)"

    code, _, err = run("predict", exported, images, "-o", tmp_path / "found")
    assert code == 0, err
    records = json.loads((tmp_path / "found" / "results.json").read_text())
    assert len(records) == 48 and len(list((tmp_path / "found").glob("*.png"))) == 48
    assert {r["file_name"].split("/")[0] for r in records} == {p.name for p in images.iterdir()}
    assert all(len(r["classes"]) == 5 and r["classes"][0]["name"] in KNOWN for r in records)


def test_a_list_of_images_and_classes(exported: Path, images: Path, tmp_path: Path, run: Run) -> None:
    paths = sorted(p for name in KNOWN for p in (images / name).iterdir())
    by_name, by_number = tmp_path / "names.txt", tmp_path / "numbers.txt"
    by_name.write_text("".join(f"{p.relative_to(images)} {p.parent.name}\n" for p in paths))
    by_number.write_text("".join(f"{p.relative_to(images)} {KNOWN.index(p.parent.name)}\n" for p in paths))
    found = []
    for options in ((by_name,), (by_number, "--category", "number")):
        code, out, err = run("eval", exported, "--data", images, "--annotations", *options, "--json")
        assert code == 0, err
        found.append(json.loads(out))
    assert found[0]["figures"] == found[1]["figures"] and found[0]["images"] == len(paths)
    assert found[0]["annotations"]["file"] == str(by_name)
    code, _, err = run("eval", exported, "--data", images, "--annotations", by_number)
    assert code == 2 and "say --category number if they are the network's" in err


@pytest.mark.slow
def test_the_embedded_graph_takes_bytes_and_gives_the_best_classes(
    exported: Path, checkpoint: Path, images: Path, tmp_path: Path, run: Run
) -> None:
    embedded, card = tmp_path / "embedded.onnx", checkpoint.with_suffix(".yaml")
    code, out, err = run("export", checkpoint, "-o", embedded, "--embed", "--card", card, "--images", images, *QUICK)
    assert code == 0, out + err
    graph = load_model(embedded).graph
    assert [o.name for o in graph.output] == ["classes", "probabilities"]
    assert graph.input[0].type.tensor_type.elem_type == 2  # uint8
    scores = []
    for model in (exported, embedded):
        code, out, err = run("eval", model, "--data", images, "--json")
        assert code == 0, err
        scores.append(json.loads(out)["figures"])
    assert scores[0] == scores[1]


@pytest.mark.slow
def test_int8_and_float16_agree_with_float32(exported: Path, images: Path, tmp_path: Path, run: Run) -> None:
    for target in ("ort", "openvino", "trt"):
        options = ("--images", images, "--target", target, "--no-speed", "--json")
        code, out, err = run("quantize", exported, "-o", tmp_path / f"{target}.onnx", *options)
        assert code == 0, out + err
        assert json.loads(out)["kind"] == "quantize"
    code, out, err = run("half", exported, "-o", tmp_path / "half.onnx", "--images", images)
    assert code == 0, out + err
    code, out, err = run("eval", tmp_path / "ort.onnx", "--data", images, "--json")
    assert code == 0 and json.loads(out)["precision"] == "int8", err


@pytest.mark.parametrize("target", ["ort", "openvino", "trt"])
def test_the_whole_head_is_int8_and_the_class_scores_are_float32(exported: Path, target: str) -> None:
    model = load_model(exported)
    graph, placement = GraphIndex(model), place(model, TARGETS[target])
    layers = [n for n in graph.nodes if n.op_type in ("Conv", "Gemm")]
    assert set(placement.weighted) == {n.name for n in layers}
    assert "logits" not in placement.activations
    head = [n for n in layers if n.name.startswith(("incre_modules", "downsamp_modules", "final_layer", "classifier"))]
    projections = [n for n in head if ".downsample." in n.name]  # of shortcuts whose number of channels changes
    assert len(head) == 4 * 3 + len(projections) + 3 + 2
    assert {n.input[0] for n in head} <= set(placement.activations)
    sums = [n for n in graph.nodes if n.op_type == "Add" and n.name in fusion_of(model) and "." not in n.name]
    assert len(sums) == 3  # of one branch and the sum of the larger ones, which is widened by a convolution and a ReLU
    assert {x for n in sums for x in n.input} <= set(placement.activations)
    shortcuts = [n for n in graph.nodes if n.op_type == "Add" and n.name.startswith("incre_modules")]
    assert len(shortcuts) == 4
    if target == "trt":  # the convolution before a residual sum is computed together with it
        assert all(sum(x in placement.activations for x in n.input) == 1 for n in shortcuts)
    assert block_of(head[0].name) == "incre_modules.0.*"
