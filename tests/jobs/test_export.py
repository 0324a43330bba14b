"""An exported file equals its network, says what it is, and is the same file every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from support.layouts import LAYOUTS, save
from support.tiny import SIZE, TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy.cards import card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.graph import simplify as simplifier
from hrnet_deploy.graph.export import export_graph
from hrnet_deploy.graph.metadata import KEY, load_model, read_description
from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export
from hrnet_deploy.networks import build_network, random_weights


def same(path: Path, network: torch.nn.Module, shape: tuple[int, ...], seed: int = 0) -> float:
    """The largest difference between a file on ONNX Runtime and a network, over the output's maximum."""
    x = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"image": x})[0]
    with torch.inference_mode():
        want = network(torch.from_numpy(x)).numpy()
    return float(np.abs(got - want).max() / np.abs(want).max())


def test_a_file_describes_itself(tiny_onnx: Path) -> None:
    found = read_description(tiny_onnx)
    assert found.card.architecture == TINY
    assert (found.card.input.height, found.card.input.width) == SIZE
    assert found.precision == "fp32"
    assert len(found.provenance["checkpoint"]) == 64
    assert [s["step"] for s in found.history] == ["export", "simplify", "verify"]
    assert found.step("export")["exporter"] == "dynamo"
    assert found.step("verify")["passed"] is True


def test_batch_norms_are_folded_and_layers_keep_their_names(tiny_onnx: Path) -> None:
    model = load_model(tiny_onnx)
    operators = {n.op_type for n in model.graph.node}
    assert operators == {"Conv", "Relu", "Add", "Resize"}
    convolutions = {n.name for n in model.graph.node if n.op_type == "Conv"}
    parameters = {
        n.removesuffix(".weight")
        for n, p in build_network(TINY).state_dict().items()
        if n.endswith(".weight") and p.ndim == 4
    }
    assert convolutions == parameters
    names = [n.name for n in model.graph.node]
    assert len(set(names)) == len(names)


def test_resizes_follow_the_rule_of_the_network(tiny_onnx: Path) -> None:
    for node in load_model(tiny_onnx).graph.node:
        if node.op_type == "Resize":
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            assert attributes["mode"] == b"nearest"
            assert attributes["coordinate_transformation_mode"] == b"asymmetric"
            assert attributes["nearest_mode"] == b"floor"


def test_nothing_of_the_machine_is_in_the_file(tiny_onnx: Path, tiny_checkpoint: Path) -> None:
    data = tiny_onnx.read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in data
    assert str(tiny_checkpoint.parent).encode() not in data
    assert [p.key for p in load_model(tiny_onnx).metadata_props] == [KEY]


def test_exporting_again_gives_the_same_bytes(tiny_onnx: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    export(ExportRequest(str(tiny_checkpoint), again, ExportOptions(size=SIZE)))
    assert again.read_bytes() == tiny_onnx.read_bytes()


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_dynamic_file_takes_any_batch_and_size(
    batch: int, exported: Callable[..., Path], tiny_network: torch.nn.Module
) -> None:
    path = exported(dynamic=("batch", "height", "width"))
    for height, width in ((96, 64), (32, 32), (64, 160)):
        assert same(path, tiny_network, (batch, 3, height, width), seed=batch) < 1e-4


def test_dynamic_axes_have_names_and_fixed_ones_values(exported: Callable[..., Path]) -> None:
    def shape(path: Path) -> list[list[str | int]]:
        graph = load_model(path).graph
        return [
            [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in (graph.input[0], graph.output[0])
        ]

    assert shape(exported(dynamic=("batch",))) == [["batch", 3, 96, 64], ["batch", 17, 24, 16]]
    assert shape(exported(dynamic=("batch", "height", "width")))[1] == ["batch", 17, "output_height", "output_width"]
    assert shape(exported(batch=3)) == [[3, 3, 96, 64], [3, 17, 24, 16]]


def test_torchscript_is_a_way_out(exported: Callable[..., Path], tiny_network: torch.nn.Module) -> None:
    path = exported(exporter="torchscript")
    assert read_description(path).step("export")["exporter"] == "torchscript"
    assert same(path, tiny_network, (1, 3, *SIZE)) < 1e-4


@pytest.mark.parametrize("opset", [11, 13])
def test_an_old_opset_goes_through_the_other_exporter_and_is_said(
    opset: int, tiny_checkpoint: Path, tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    path = tmp_path / "old.onnx"
    done = export(ExportRequest(str(tiny_checkpoint), path, ExportOptions(size=SIZE, opset=opset)))
    assert done.passed
    assert done.history[0]["exporter"] == "torchscript"
    assert len(done.remarks) == 1 and f"opset {opset} was exported with torch's torchscript exporter" in done.remarks[0]
    assert [o.version for o in load_model(path).opset_import if o.domain == ""] == [opset]
    assert same(path, tiny_network, (1, 3, *SIZE)) < 1e-4


def test_what_was_converted_in_a_card_is_in_the_file_and_said(
    tiny_checkpoint: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    values = json.loads(json.dumps(card("pose_hrnet_w32_256x192").to_dict()))
    values.update(name="mine", architecture=json.loads(json.dumps(arch.to_dict(TINY))), checkpoint="", published=[])
    values["input"] |= {
        "height": 96,
        "width": 64,
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "colour": "rgb",
    }
    values["keypoints"]["skeleton"] = [[a + 1, b + 1] for a, b in values["keypoints"]["skeleton"]]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    code, out, _ = run("export", tiny_checkpoint, "-o", tmp_path / "a.onnx", "--card", path, "--json")
    assert code == 0
    found = json.loads(out)
    assert [r[:35] for r in found["remarks"]] == [
        "the card's mean and std are of pixe",
        "the card's skeleton counts from 1, ",
    ]
    assert found["activations"]["verdict"] == "unknown"
    assert "of weights that were not trained" in found["activations"]["reason"]
    described = read_description(tmp_path / "a.onnx").card
    np.testing.assert_allclose(described.input.mean, (0.485, 0.456, 0.406))
    assert described.input.colour == "RGB"
    assert described.labels == card("pose_hrnet_w32_256x192").labels


def test_an_existing_file_is_kept_unless_forced(
    tiny_onnx: Path, tiny_checkpoint: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    before = tiny_onnx.read_bytes()
    code, _, err = run("export", tiny_checkpoint, "-o", tiny_onnx)
    assert code == 2
    assert "exists already — pass --force" in err
    assert tiny_onnx.read_bytes() == before


def test_a_simplifier_that_dies_leaves_the_graph_as_it_was(tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_onnx)
    feeds = {"image": np.zeros((1, 3, *SIZE), np.float32)}
    monkeypatch.setattr(simplifier.sys, "executable", "/bin/false")
    same_model, facts = simplifier.simplify(model, feeds)
    assert same_model is model
    assert facts["applied"] is False
    crash = Path(simplifier.__file__).with_name("none")
    monkeypatch.setattr(
        simplifier.subprocess, "run", lambda *a, **k: simplifier.subprocess.CompletedProcess(a, -11, "", str(crash))
    )
    assert simplifier.simplify(model, feeds)[1]["reason"] == "onnxsim died of signal 11"


def test_a_simplifier_that_changes_outputs_is_not_believed(tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_onnx)

    def wrong(given: Path, result: Path) -> str:
        changed = onnx.load_model(str(given))
        bias = next(i for i in changed.graph.initializer if i.name == "final_layer.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 1, bias.name))
        onnx.save_model(changed, str(result))
        return ""

    monkeypatch.setattr(simplifier, "_in_child", wrong)
    kept, facts = simplifier.simplify(model, {"image": np.ones((1, 3, *SIZE), np.float32)})
    assert kept is model
    assert "outputs changed" in facts["reason"]


def test_a_failed_verification_keeps_the_file_and_says_so(
    tiny_checkpoint: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hrnet_deploy.graph import export as exporter

    right = exporter.export_graph

    def wrong(*arguments: object, **options: object) -> onnx.ModelProto:
        model = right(*arguments, **options)  # type: ignore[arg-type]
        bias = next(i for i in model.graph.initializer if i.name == "final_layer.bias")
        bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.5, bias.name))
        return model

    monkeypatch.setattr(exporter, "export_graph", wrong)
    path = tmp_path / "wrong.onnx"
    code, out, _ = run("export", tiny_checkpoint, "-o", path, "--size", "96x64")
    assert code == 1
    assert "FAILED: " in out and "verified against PyTorch in ort" in out
    assert read_description(path).step("verify")["passed"] is False


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch": 0}, "--batch 0 is too small"),
        ({"dynamic": ("depth",)}, "cannot make depth dynamic"),
        ({"embed": True, "dynamic": ("batch",)}, "--embed needs static shapes"),
        ({"flip_test": True}, "--flip-test needs --embed"),
        ({"size": (100, 64)}, "the nearest is --size 96x64"),
        ({"opset": 3}, "--opset 3 cannot be exported: the exporters of torch write opset 11 to 23"),
        ({"opset": 10, "exporter": "torchscript"}, "the torchscript exporter writes opset 11 to 20"),
        ({"opset": 17, "exporter": "dynamo"}, "the dynamo exporter writes opset 18 to 23 — leave --exporter out"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict, sentence: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    given = {"size": SIZE, **options}
    with pytest.raises(BadInput, match=sentence):
        export(ExportRequest(str(tiny_checkpoint), tmp_path / "a.onnx", ExportOptions(**given)))
    assert list(tmp_path.iterdir()) == []


def test_a_card_of_another_network_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the card pose_hrnet_w32_256x192 is HRNetV1-W32"):
        export(ExportRequest(str(tiny_checkpoint), tmp_path / "a.onnx", ExportOptions(), card="pose_hrnet_w32_256x192"))


def test_a_simplified_graph_that_does_not_run_is_not_believed(tiny_onnx: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(tiny_onnx)
    monkeypatch.setattr(simplifier, "_in_child", lambda given, result: result.write_bytes(b"nothing") and "")
    kept, facts = simplifier.simplify(model, {"image": np.ones((1, 3, *SIZE), np.float32)})
    assert kept is model
    assert facts["reason"].startswith("the simplified graph does not run (")


def test_a_library_s_name_in_the_current_folder_is_not_run(
    tiny_onnx: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("onnx", "onnxsim"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')")
    _, facts = simplifier.simplify(load_model(tiny_onnx), {"image": np.ones((1, 3, *SIZE), np.float32)})
    assert facts["applied"] is True
    assert not (tmp_path / "ran").exists()


# the names of every layout become the official ones in test_checkpoints; here the whole way of a few
@pytest.mark.parametrize("name", ["module", "mmpose 1.x", "safetensors"])
def test_every_layout_exports_to_the_same_file(
    name: str, tiny_network: torch.nn.Module, tiny_onnx: Path, tmp_path: Path
) -> None:
    state = dict(tiny_network.state_dict())
    if name == "safetensors":
        checkpoint = save(state, tmp_path / "a.safetensors", "safetensors")
    else:
        checkpoint = save(LAYOUTS[name][0](state), tmp_path / "a.pth", "legacy" if name == "module" else "zip")
    done = export(ExportRequest(str(checkpoint), tmp_path / "a.onnx", ExportOptions(size=SIZE)))
    assert done.passed
    model, expected = load_model(tmp_path / "a.onnx"), load_model(tiny_onnx)
    assert model.graph == expected.graph


def test_embedding_needs_an_opset_that_can_hold_it(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--embed needs opset 18 or newer, not 17"):
        export(
            ExportRequest(
                str(tiny_checkpoint),
                tmp_path / "a.onnx",
                ExportOptions(size=SIZE, embed=True, exporter="torchscript", opset=17),
            )
        )


# --- the sizes people ship ---------------------------------------------------------------------------------

# (input, options, layout of the checkpoint for W32 and for W48): either network at both sizes, static and open
FORMS: list[tuple[tuple[int, int], dict, tuple[str, str]]] = [
    ((256, 192), {}, ("mmpose 1.x", "plain")),
    ((384, 288), {"batch": 2}, ("mmpose 0.x", "model")),
    ((256, 192), {"dynamic": ("batch", "height", "width")}, ("state_dict", "safetensors")),
    ((384, 288), {"dynamic": ("batch",)}, ("module", "model prefix")),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "size", "options", "layouts"),
    [
        pytest.param(w, *f, marks=pytest.mark.paper)  # half a minute each; CI exports small networks in these forms
        for w, forms in ((32, FORMS[1:3]), (48, FORMS[::3]))
        for f in forms
    ],
)
def test_w32_and_w48_equal_pytorch_at_both_sizes(
    width: int, size: tuple[int, int], options: dict, layouts: tuple[str, str], tmp_path: Path
) -> None:
    network = build_network(arch.PoseHRNet(arch.Body.of_width(width)))
    random_weights(network, seed=width)
    state, layout = dict(network.state_dict()), layouts[width == 48]
    if layout == "safetensors":
        checkpoint = save(state, tmp_path / "a.safetensors", "safetensors")
    else:
        checkpoint = save(LAYOUTS[layout][0](state), tmp_path / "a.pth", "legacy" if layout == "module" else "zip")
    path = tmp_path / "a.onnx"
    done = export(ExportRequest(str(checkpoint), path, ExportOptions(size=size, **options)))
    assert done.passed, done.checks
    assert f"HRNetV1-W{width} pose, 17 keypoints" in done.summary
    for batch in (1, 3) if options.get("dynamic") else (options.get("batch", 1),):
        assert same(path, network, (batch, 3, *size), seed=batch) < 1e-4
    if "height" in options.get("dynamic", ()):
        assert same(path, network, (2, 3, 320, 160)) < 1e-4


def test_an_exporter_that_writes_another_opset_is_not_believed() -> None:
    """It leaves the graph in its own opset where it cannot convert it, and says so in its log only."""

    class Part(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.split(x, [1, 2], 1)[0].mean((2, 3), keepdim=True)

    with pytest.raises(BadInput, match="torch's dynamo exporter wrote opset 18 instead of 12 — use --opset 18, or 20"):
        export_graph(Part(), card("pose_hrnet_w32_256x192").resized(32, 32), 1, (), 12, "dynamo")
