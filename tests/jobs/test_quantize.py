"""Where integers stand in a graph, read off the graph; what they cost; and what the command refuses."""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import generate
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper
from support.demo import NAME
from support.placing import RANGE, WHOLE, placed

from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph.index import GraphIndex
from hrnet_deploy.graph.metadata import describe, load_model, read_description, save_model
from hrnet_deploy.graph.quantize import TARGETS, block_of, fusion_of, place, quantize
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.jobs.quantize import QuantizeRequest
from hrnet_deploy.jobs.quantize import quantize as job
from hrnet_deploy.workflow.split import Split

Run = Callable[..., tuple[int, str, str]]


def check_rules(made: onnx.ModelProto, target: str) -> None:
    """The rules of a target, read off a graph."""
    graph = GraphIndex(made)
    dequantized = {n.output[0] for n in graph.nodes if n.op_type == "DequantizeLinear"}
    zero_points = {n.input[2] for n in graph.nodes if n.op_type in ("QuantizeLinear", "DequantizeLinear")}
    kinds = {numpy_helper.to_array(graph.constants[z]).dtype.name for z in zero_points}
    for node in graph.nodes:
        if node.op_type == "Conv":
            assert node.input[0] in dequantized and node.input[1] in dequantized, node.name
            weights = graph.producer[node.input[1]]
            assert onnx.helper.get_node_attr_value(weights, "axis") == 0
            values, scale = (numpy_helper.to_array(graph.constants[x]) for x in weights.input[:2])
            assert values.dtype == np.int8 and scale.shape == (len(values),)
            assert np.abs(values).max() == 127
        if node.op_type == "Relu" and graph.producer[node.input[0]].op_type == "Conv":
            assert graph.consumers[graph.producer[node.input[0]].output[0]] == [node]  # nothing between the two
        if node.op_type == "Add":
            plain = [x for x in node.input if x not in dequantized]
            if target == "ort":
                assert not plain, node.name
            elif target == "trt":
                assert len(plain) <= 1, node.name
            assert all(graph.producer[x].op_type in ("Conv", "Add") for x in plain), node.name
    if target == "ort":  # nothing goes back to float between operators
        assert kinds == {"uint8", "int8", "int32"}
        assert "Relu" not in {n.op_type for n in graph.nodes}
        for node in graph.nodes:
            if node.op_type in ("Conv", "Add", "Resize") and node.output[0] not in graph.outputs:
                assert [r.op_type for r in graph.consumers[node.output[0]]] == ["QuantizeLinear"], node.name
    if target == "trt":
        assert kinds == {"int8"}
        assert all(not numpy_helper.to_array(graph.constants[z]).any() for z in zero_points)
        biases = {n.input[2] for n in graph.nodes if n.op_type == "Conv"}
        assert all(graph.constants[b].data_type == TensorProto.FLOAT for b in biases)


@pytest.mark.parametrize("target", WHOLE)
def test_integers_stand_where_the_target_wants_them(target: str, tiny_onnx: Path) -> None:
    made, placement = placed(tiny_onnx, target)
    check_rules(made, target)
    convolutions = sum(n.op_type == "Conv" for n in load_model(tiny_onnx).graph.node)
    assert len(placement.weighted) == convolutions


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "pose_hrnet_w32_256x192",
        pytest.param("pose_hrnet_w48_256x192", marks=pytest.mark.paper),
        "pose_resnet50_256x192",
    ],
)
def test_the_rules_hold_for_the_networks_of_the_paper(name: str, tmp_path: Path) -> None:
    from hrnet_deploy.cards import card
    from hrnet_deploy.jobs.export import export_network
    from hrnet_deploy.networks import build_network, random_weights

    network = build_network(card(name).architecture)
    random_weights(network)
    model, _ = export_network(network, card(name), ExportOptions(), {})
    save_model(model, tmp_path / "float.onnx")
    for target in WHOLE:
        made, _ = placed(tmp_path / "float.onnx", target)
        if "hrnet" in name:
            check_rules(made, target)
            adds = {n.name for n in model.graph.node if fnmatch(n.name, "stage?.?.add*")}
            assert adds and adds == {n for n in fusion_of(model) if "resize" not in n}
        else:
            assert fusion_of(model) == ()
        operators = Counter(n.op_type for n in made.graph.node)
        assert operators["Conv"] == sum(n.op_type == "Conv" for n in model.graph.node)


def test_a_resize_keeps_the_scale_of_what_it_enlarges(tiny_onnx: Path) -> None:
    made, placement = placed(tiny_onnx, "ort")
    graph = GraphIndex(made)
    resizes = [n for n in graph.nodes if n.op_type == "Resize"]
    assert resizes
    for node in resizes:
        before, after = graph.producer[node.input[0]], graph.consumers[node.output[0]][0]
        for i in (1, 2):
            a, b = (numpy_helper.to_array(graph.constants[n.input[i]]) for n in (before, after))
            assert a == b
        assert node.output[0] not in placement.ranged


def test_the_fusion_is_found_by_structure_and_can_stay_in_float(tiny_onnx: Path) -> None:
    model = load_model(tiny_onnx)
    graph = GraphIndex(model)
    fusion = fusion_of(model)
    assert set(fusion) == {n.name for n in graph.nodes if fnmatch(n.name, "stage?.?.add*") or n.op_type == "Resize"}
    residual = {n.name for n in graph.nodes if n.op_type == "Add"} - set(fusion)
    assert residual == {
        n.name for n in graph.nodes if n.op_type == "Add" and (".branches." in n.name or n.name.startswith("layer1."))
    }
    for target in WHOLE:
        _, placement = placed(tiny_onnx, target, fusion)
        integers, whole = set(placement.activations), placed(tiny_onnx, target)[1]
        assert not {graph.producer[x].op_type for x in integers if x in graph.producer} & {"Resize"}
        assert len(integers) < len(whole.activations)
        assert placement.weighted == whole.weighted


def test_what_is_excluded_stays_in_float(tiny_onnx: Path) -> None:
    made, placement = placed(tiny_onnx, "ort", ("stage4.*", "final_layer"))
    assert not [n for n in placement.weighted if n.startswith(("stage4.", "final_layer"))]
    weights = {i.name: i.data_type for i in made.graph.initializer}
    assert weights["stage4.0.branches.0.0.conv1.weight"] == TensorProto.FLOAT
    assert "stage3.0.branches.0.0.conv1.weight" not in weights
    with pytest.raises(BadInput, match=r"--exclude stage9\.\* names no operator of the graph — the nearest is stage"):
        placed(tiny_onnx, "ort", ("stage9.*",))


def test_every_operator_belongs_to_a_block(tiny_onnx: Path) -> None:
    blocks = {block_of(n) for n in place(load_model(tiny_onnx), TARGETS["ort"]).weighted}
    assert {
        "conv1",
        "layer1.0.*",
        "transition1.1.*",
        "stage2.0.branches.0.*",
        "stage2.0.[!b]*",
        "final_layer",
    } <= blocks
    assert len(blocks) < 30


@pytest.mark.parametrize("target", TARGETS)
def test_a_quantized_graph_computes_what_the_float_one_does(target: str, tiny_onnx: Path) -> None:
    """With ranges that fit: one operator's error is within what its 8 bits allow."""
    from hrnet_deploy.graph.calibrate import with_outputs

    model = load_model(tiny_onnx)
    placement = place(model, TARGETS[target])
    x = np.random.default_rng(0).standard_normal((1, 3, 96, 64), dtype=np.float32)
    session = onnxruntime.InferenceSession(
        with_outputs(model, placement.ranged).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [o.name for o in session.get_outputs()]
    values = {"image": x, **dict(zip(names, session.run(names, {"image": x}), strict=True))}
    made = quantize(
        model,
        TARGETS[target],
        placement,
        {t: (float(values[t].min()), float(values[t].max())) for t in placement.ranged},
    )
    got = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"]).run(
        None, {"image": x}
    )[0]
    want = values["heatmaps"]
    assert 10 * np.log10((want**2).sum() / ((want - got) ** 2).sum()) > 15


def test_weights_of_a_processor_without_vnni_take_seven_bits(tiny_onnx: Path) -> None:
    model = load_model(tiny_onnx)
    placement = place(model, TARGETS["ort"])
    made = quantize(model, TARGETS["ort"], placement, dict.fromkeys(placement.ranged, RANGE), reduce_range=True)
    values = [numpy_helper.to_array(i) for i in made.graph.initializer if i.name.endswith("weight.q")]
    assert max(int(np.abs(v).max()) for v in values) == 64


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    generate.generate(folder, range(12), seed=31)
    return folder


def test_past_the_budget_nothing_is_written_and_the_worst_blocks_are_named(
    tiny_onnx: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    """A network with random weights has flat heatmaps, whose maxima 8 bits move about."""
    out = tmp_path / "int8.onnx"
    code, said, _ = run("quantize", tiny_onnx, "-o", out, "--images", people)
    assert code == 1
    assert not list(tmp_path.iterdir())
    assert "Nothing was written." in said and "Try --exclude '" in said
    assert "6 images are too few for good ranges" in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--calibration-images", "0"), "need at least one image each"),
        (("--exclude", "nothing.*"), "names no operator of the graph"),
        (("--images", "nowhere"), "nowhere is not a folder"),
        (("--calibration-cache", "README.md"), "holds no calibration statistics"),
        (("--calibration-cache", "nowhere/ranges.npz"), "the folder nowhere does not exist"),
        (("--target", "tvm"), "is not one of"),
        (("--method", "best"), "is not one of"),
        (("--branch-fusion", "bf16"), "is not one of"),
        (("--max-drop", "-1"), "give 0 or more"),
        (("--sensitivity", "blocks.txt"), "is neither a table nor a picture"),
    ],
)
def test_what_cannot_be_used_is_said(
    arguments: tuple[str, ...], sentence: str, tiny_onnx: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    given = ["--images", people] if "--images" not in arguments else []
    code, _, err = run("quantize", tiny_onnx, "-o", tmp_path / "a.onnx", *given, *arguments)
    assert code == 2
    assert sentence in " ".join(err.split()) and "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_folder_without_images_and_an_image_that_is_none_are_named(
    tiny_onnx: Path, people: Path, tmp_path: Path, run: Run
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    code, _, err = run("quantize", tiny_onnx, "-o", tmp_path / "a.onnx", "--images", images)
    assert code == 2 and f"there are no images in {images}" in err
    shutil.copytree(people, images, dirs_exist_ok=True)
    for name in ("000004.png", "000005.png"):  # wherever they fall: among those calibrated on, or those judged by
        (images / name).write_bytes(b"nothing")
        code, _, err = run(
            "quantize",
            tiny_onnx,
            "-o",
            tmp_path / "a.onnx",
            "--images",
            images,
            "--calibration-cache",
            tmp_path / "r.npz",
            "--strict",
        )
        assert code == 2 and f"{name} is not an image that this machine can read" in err
        shutil.copy(people / name, images / name)
        (tmp_path / "r.npz").unlink(missing_ok=True)
    assert [p.name for p in tmp_path.iterdir()] == ["images"]


def test_images_that_are_all_the_same_are_said_to_be(tiny_onnx: Path, people: Path, tmp_path: Path) -> None:
    for number in range(6):
        shutil.copy(people / "000000.png", tmp_path / f"{number}.png")
    done = job(QuantizeRequest(tiny_onnx, tmp_path / "a.onnx", Split(tmp_path)))
    assert "all calibration images are the same image" in done.warnings
    other = job(QuantizeRequest(tiny_onnx, tmp_path / "b.onnx", Split(people)))
    assert not [w for w in other.warnings if "same" in w]


def test_a_model_that_is_int8_already_is_refused(tiny_onnx: Path, people: Path, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "int8.onnx"
    made, _ = placed(tiny_onnx, "ort")
    describe(made, dataclasses.replace(read_description(tiny_onnx), precision="int8"))
    save_model(made, path)
    code, _, err = run("quantize", path, "-o", tmp_path / "a.onnx", "--images", people)
    assert code == 2 and "int8.onnx is int8 already — quantize the fp32 file it was made from" in err
    code, _, err = run("quantize", tiny_onnx, "-o", path, "--images", people)
    assert code == 2 and "exists already — pass --force" in err


def test_a_dead_relu_is_named_and_its_scale_is_a_number(tiny_onnx: Path, people: Path, tmp_path: Path) -> None:
    model = load_model(tiny_onnx)
    for name, value in (("stage2.0.branches.0.0.conv1.weight", 0.0), ("stage2.0.branches.0.0.conv1.weight_bias", -1.0)):
        tensor = next(i for i in model.graph.initializer if i.name == name)
        tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), value), name))
    save_model(model, tmp_path / "dead.onnx")
    for target in WHOLE:
        done = job(
            QuantizeRequest(tmp_path / "dead.onnx", tmp_path / "a.onnx", Split(people), target=target, force=True)
        )
        assert done.all_zero == ["stage2.0.branches.0.0.relu"]
        assert np.isfinite([t.sqnr_db for t in done.trials[-1].figures.tensors if t.sqnr_db is not None]).all()


def test_an_embedded_graph_is_refused(exported: Callable[..., Path], people: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="quantize the plain export"):
        job(QuantizeRequest(exported(embed=True), tmp_path / "a.onnx", Split(people)))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.onnx"
    assert export(ExportRequest(NAME, path, ExportOptions(dynamic=("batch",)))).passed
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    generate.generate(folder, range(364), seed=10_002)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_trained_network_keeps_its_accuracy_in_int8(target: str, trained: Path, many: Path, tmp_path: Path) -> None:
    out = tmp_path / "int8.onnx"
    done = job(QuantizeRequest(trained, out, Split(many, held_out=300), target=target))
    assert done.passed, done.trials[-1].checks
    assert abs(done.trials[-1].figures.difference or 100) <= (0.5 if target in WHOLE else 0.3)
    found = read_description(out)
    assert found.precision == "int8"
    assert found.step("quantize")["target"] == target
    assert len(found.provenance["calibration"]) == len(found.provenance["parent"]) == 64
    assert out.stat().st_size < (0.45 if target in WHOLE else 0.99) * trained.stat().st_size
    with pytest.raises(BadInput, match="is int8 already"):
        job(QuantizeRequest(out, tmp_path / "b.onnx", Split(many)))
