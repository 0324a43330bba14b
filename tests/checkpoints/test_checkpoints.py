"""Every layout loads to the same network. Every kind of bad file has its own error message, and none runs code."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import gzip
import io
import os
import pickle
import re
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
import torch
from support import goldens
from support.layouts import LAYOUTS, State, mmpose_0, mmpose_1, prefixed, save
from support.official import OFFICIAL
from support.tiny import TINY

from hrnet_deploy import architecture as arch
from hrnet_deploy import checkpoints
from hrnet_deploy.cards import card, card_for
from hrnet_deploy.checkpoints.completeness import check_complete
from hrnet_deploy.checkpoints.layouts import to_official
from hrnet_deploy.checkpoints.recognise import recognise
from hrnet_deploy.errors import BadInput
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.pose.labels import Keypoints


@pytest.mark.parametrize("how", ["zip", "legacy"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_same_network(
    name: str, how: str, tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    wrap, layout = LAYOUTS[name]
    found = checkpoints.load(save(wrap(dict(tiny_network.state_dict())), tmp_path / "a.pth", how))
    assert (found.architecture, found.layout) == (TINY, layout)
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(found.network()(x), tiny_network(x))


@pytest.mark.parametrize("wrap", [lambda s: s, mmpose_1, mmpose_0, prefixed("module.")])
def test_safetensors_files_load_to_the_same_weights(
    wrap: Callable[[State], State], tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    found = checkpoints.load(save(wrap(dict(tiny_network.state_dict())), tmp_path / "a.safetensors", "safetensors"))
    assert found.architecture == TINY
    assert all(torch.equal(found.state[k], v) for k, v in tiny_network.state_dict().items())


def test_half_precision_weights_become_float32(tiny_network: torch.nn.Module, tmp_path: Path) -> None:
    halves = {k: v.half() if v.is_floating_point() else v for k, v in tiny_network.state_dict().items()}
    found = checkpoints.load(save(halves, tmp_path / "a.pth", "zip"))
    assert {v.dtype for v in found.state.values()} == {torch.float32, torch.int64}


def with_twins(state: State) -> State:
    return {**state, **{f"ema_{k.replace('.', '_')}": v + 1 for k, v in state.items()}}


def with_lit_ema(state: State) -> State:
    averaged = {f"model_ema.{k.replace('.', '')}": v + 1 for k, v in state.items()}
    return {**prefixed("model.")(state), **averaged, "model_ema.decay": torch.tensor(0.9)}


def with_counters_of_a_profiler(state: State) -> State:
    modules = {k.rpartition(".")[0] for k in state}
    counters = {f"{m}.{leaf}": torch.zeros(1) for m in modules for leaf in ("total_ops", "total_params")}
    return {**state, **counters, "total_ops": torch.zeros(1), "total_params": torch.zeros(1)}


def beside_metrics(state: State) -> State:
    metrics = {"val_iou.total": torch.tensor(3.0), "val_iou.confmat": torch.zeros(3, 3)}
    return {**prefixed("model.")(state), **metrics, "criterion.weight": torch.ones(17, 1)}


@pytest.mark.parametrize(
    ("change", "left_out"),
    [
        (with_twins, r"twins that an EMA hook keeps of the weights \(\d+, as ema_conv1_weight\)"),
        (lambda s: prefixed("module.")(with_twins(s)), r"twins that an EMA hook .* as ema_conv1_weight"),
        (with_lit_ema, "twins that an EMA hook .* as model_ema.conv1weight"),
        (with_counters_of_a_profiler, r"counters of a profiler \(\d+, as "),
        (lambda s: prefixed("module.")(with_counters_of_a_profiler(s)), r"counters of a profiler"),
        (beside_metrics, r"tensors of metrics \(2, as val_iou.total\)"),
    ],
)
def test_what_is_no_weight_is_left_out_and_named(
    change: Callable[[State], State], left_out: str, tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    state = dict(tiny_network.state_dict())
    found = checkpoints.load(save({"state_dict": change(state), "optimizer": {"state": {}}}, tmp_path / "a.pth", "zip"))
    assert found.architecture == TINY
    assert list(found.state) == list(state)
    assert all(torch.equal(found.state[k], v) for k, v in state.items())
    assert re.search(f"0 unexpected; left out: .*{left_out}", found.summary)


def test_a_weight_that_looks_like_a_twin_of_nothing_is_not_left_out(
    tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    state = {**tiny_network.state_dict(), "ema_other_weight": torch.zeros(3)}
    with pytest.raises(BadInput, match=r"1 unexpected \(ema_other_weight\)"):
        checkpoints.load(save(state, tmp_path / "a.pth", "zip"))


def test_a_name_of_endless_prefixes_ends(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        checkpoints.load(save({"a." * 100_000 + "layer1.0.conv1.weight": torch.zeros(1)}, tmp_path / "a.pth", "zip"))


def modules_of_trainers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules named like those of mmengine and yacs, with the classes whose objects these save beside the weights."""

    def module(name: str, **members: Any) -> Any:
        made = types.ModuleType(name)
        for key, value in members.items():
            if isinstance(value, type):
                value.__module__ = name
            setattr(made, key, value)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    class HistoryBuffer:
        def __init__(self) -> None:
            self._log_history = np.arange(3)

        def mean(self) -> float:
            return 0.0

        def __getstate__(self) -> dict[str, Any]:
            return {**self.__dict__, "statistics_methods": {"mean": type(self).mean}}

    class CfgNode(dict):
        def __init__(self, values: dict[str, Any]) -> None:
            super().__init__(values)
            self.__dict__["frozen"] = True

    HistoryBuffer.__qualname__, CfgNode.__qualname__ = "HistoryBuffer", "CfgNode"
    HistoryBuffer.mean.__qualname__ = "HistoryBuffer.mean"
    HistoryBuffer.mean.__module__ = "mmengine.logging.history_buffer"
    module("mmengine")
    module("mmengine.logging")
    module("yacs")
    return module("mmengine.logging.history_buffer", HistoryBuffer=HistoryBuffer), module(
        "yacs.config", CfgNode=CfgNode
    )


@pytest.mark.parametrize("how", ["zip", "legacy"])
def test_objects_of_training_frameworks_beside_the_weights_are_ignored(
    how: str, tiny_network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        buffers, configs = modules_of_trainers(patch)
        counts: Any = collections.defaultdict(int)
        counts["epoch"] += 3
        beside = {
            "message_hub": {"log_scalars": {"loss": buffers.HistoryBuffer()}},
            "cfg": configs.CfgNode({"MODEL": {"NAME": "pose_hrnet"}}),
            "args": argparse.Namespace(lr=0.1),
            "work_dir": PosixPath("runs"),
            "counts": counts,
            "best": np.float64(0.7),
            "history": np.arange(5),
            "state_dict": tiny_network.state_dict(),
        }
        path = save(beside, tmp_path / "a.pth", how)
    assert "mmengine.logging.history_buffer" not in sys.modules
    assert checkpoints.load(path).architecture == TINY


@pytest.mark.parametrize("name", [*OFFICIAL, "mmpose_hrnet_w32"])
def test_public_key_lists_are_recognised(name: str) -> None:
    shapes = {k: tuple(s) for k, s, _ in goldens.meta(name)["state_dict"]}
    layout, official = to_official(shapes)
    assert recognise(official) == OFFICIAL[name if name in OFFICIAL else name.replace("mmpose", "pose")]
    beginnings = {
        "mmpose": "mmpose 1.x",
        "mmseg": "mmsegmentation",
        "pspnet": "mmsegmentation",
        "deeplabv3": "mmsegmentation",
    }
    assert layout == next((v for k, v in beginnings.items() if name.startswith(k)), "official")


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize(("dataset", "count"), goldens.meta("mmpose_hrnetv2_w18_keys")["keypoints"].items())
def test_landmark_networks_of_mmpose_are_recognised(version: int, dataset: str, count: int) -> None:
    body = goldens.meta("mmpose_hrnetv2_w18_300w")["state_dict"]
    heads = goldens.meta("mmpose_hrnetv2_w18_keys")[f"heads_mmpose_{version}"][dataset]
    listed = [k for k in body if k[0].startswith("backbone.")] + heads
    layout, official = to_official({k: tuple(s) for k, s, _ in listed})
    shape = dataclasses.replace(OFFICIAL["face_hrnet_w18"], landmarks=count)  # type: ignore[type-var]
    assert (layout, recognise(official)) == (f"mmpose {version}.x", shape)
    check_complete(shape, official, Path(dataset))
    assert card_for(shape).dataset == dataset


PLAIN, CORNERS = arch.Upsample("bilinear"), arch.Upsample("bilinear", align_corners=True)
SHAPES = [
    arch.SegHRNet(arch.Body.of_width(18, upsample=PLAIN), classes=20, head_kernel=3),
    arch.SegHRNet(arch.Body.of_width(18, upsample=CORNERS), classes=20, ocr=True),
    arch.SegHRNet(arch.Body.of_width(18, upsample=CORNERS), classes=150),
    arch.SegHRNet(arch.Body.of_width(18, upsample=CORNERS), classes=171),
    arch.SegHRNet(arch.Body.of_width(18, upsample=PLAIN), classes=59),
    arch.SegHRNet(arch.Body.of_width(18, upsample=PLAIN), classes=60),
    arch.DilatedResNet(50, "psp", classes=150),
    arch.DilatedResNet(152, "aspp", classes=21, channels=256),
    arch.PoseHRNet(arch.Body.of_width(32), keypoints=5),
    arch.PoseHRNet(arch.Body.of_width(18), keypoints=17, head_kernel=3),
    arch.PoseHRNet(arch.Body.of_width(48, modules=(1, 2, 1), blocks=2)),
    arch.SimpleBaseline(50),
    arch.SimpleBaseline(101, keypoints=16, deconv=(256, 128), deconv_kernels=(4, 3), head_kernel=3),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.title)
def test_the_architecture_is_read_from_the_tensors(shape: arch.Architecture) -> None:
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in build_network(shape).state_dict().items()}
    assert recognise(shapes) == shape


def test_a_known_architecture_gets_its_card_and_an_unknown_head_a_new_one(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    five = arch.PoseHRNet(arch.Body.of_width(8, (1, 1, 1), 1), keypoints=5)
    network = build_network(five)
    random_weights(network)
    found = checkpoints.load(save(network.state_dict(), tmp_path / "five.pth", "zip"))
    assert found.card.labels == Keypoints(tuple(f"keypoint_{i}" for i in range(5)))
    assert checkpoints.load(tiny_checkpoint).card.labels == card("pose_hrnet_w32_256x192").labels


@pytest.mark.parametrize(
    ("shape", "dataset", "size", "fit"),
    [
        (arch.PoseHRNet(arch.Body.of_width(40), keypoints=16), "mpii", "256x256", "crop"),
        (arch.PoseHRNet(arch.Body.of_width(48), keypoints=5), "unknown", "256x192", "crop"),
        (arch.SegHRNet(arch.Body.of_width(48, upsample=CORNERS), 20, ocr=True), "lip", "473x473", "stretch"),
        (arch.SegHRNet(arch.Body.of_width(48, upsample=PLAIN), 21), "unknown", "480x480", "pad"),
        (arch.DilatedResNet(50, "psp", 150), "ade20k", "520x520", "pad"),
        (arch.SegHRNet(arch.Body.of_width(18, upsample=CORNERS), 171), "coco-stuff-171", "520x520", "pad"),
    ],
)
def test_an_unknown_network_gets_the_input_of_the_dataset_with_as_many_labels(
    shape: arch.Architecture, dataset: str, size: str, fit: str
) -> None:
    made = card_for(shape)
    assert (made.architecture, made.dataset, made.input.size, made.input.fit) == (shape, dataset, size, fit)
    assert len(made.label_names) == shape.labels


def test_a_published_file_is_known_by_its_digest() -> None:
    w32 = arch.PoseHRNet(arch.Body.of_width(32))
    assert card_for(w32, "ca5956af" + "0" * 56).name == "pose_hrnet_w32_384x288"
    assert card_for(w32, "f" * 64).name == "pose_hrnet_w32_256x192"
    # two cards have tensors of these shapes; the digest decides which one it is, and so how it upsamples
    w48 = arch.SegHRNet(arch.Body.of_width(48, upsample=PLAIN))
    assert card_for(w48, "59b7973e" + "0" * 56).name == "seg_fcn_hr48_cityscapes_512x1024"
    assert card_for(w48).name == "seg_hrnetv2_w48_cityscapes_1024x2048"


# --- bad files -------------------------------------------------------------------------------------------


def headed(*names: str, before: str = "") -> Callable[[State], State]:
    """The body of a network with tensors of another head, the body's names with a prefix."""
    return lambda s: {
        **{f"{before}{k}": v for k, v in backbone(s).items()},
        **{n: torch.zeros(3, 8, 1, 1) for n in names},
    }


OTHER_HEADS: dict[str, tuple[Callable[[State], State], str]] = {
    "DEKR": (
        headed("transition_heatmap.0.weight", "head_heatmap.1.weight", "offset_final_layer.0.weight"),
        "is an HRNet-W8 with the head of DEKR",
    ),
    "FCOS": (
        headed("neck.reduction_conv.conv.weight", "bbox_head.conv_cls.weight", before="backbone."),
        "is an HRNet-W8 with the head of FCOS",
    ),
    "SimCC": (
        headed("head.final_layer.weight", "head.mlp_head_x.weight", "head.mlp_head_y.weight", before="backbone."),
        "is an HRNet-W8 with the head of SimCC",
    ),
    "CID": (
        headed("head.iia_module.keypoint_root_conv.conv.weight", "head.gfd_module.out_conv.weight", before="backbone."),
        "is an HRNet-W8 with the head of CID",
    ),
    "an FPN instead of HRFPN": (
        headed("neck.lateral_convs.0.conv.weight", "rpn_head.rpn_cls.weight", before="backbone."),
        "is an HRNet-W8 with an FPN instead of HRFPN",
    ),
    "segmentation_models": (
        headed("decoder.blocks.0.conv1.0.weight", "segmentation_head.0.weight", before="encoder.model."),
        "is an HRNet-W8 with a decoder of segmentation_models",
    ),
    "a pyramid of one's own": (
        headed("fpn.lateral.0.weight", "predictor.weight", before="body."),
        "is an HRNet-W8 with a head of another kind, in fpn, predictor",
    ),
}


@pytest.mark.parametrize("name", OTHER_HEADS)
def test_hrnets_with_other_heads_are_refused_by_their_names(
    name: str, tiny_network: torch.nn.Module, tmp_path: Path
) -> None:
    make, sentence = OTHER_HEADS[name]
    for change in (make, lambda s: prefixed("module.")(make(s))):
        path = save({"state_dict": change(dict(tiny_network.state_dict()))}, tmp_path / "a.pth", "zip")
        with pytest.raises(BadInput, match=re.escape(sentence)) as error:
            checkpoints.load(path)
        assert "this tool takes HRNet for top-down poses" in str(error.value)
        assert "damaged" not in str(error.value)


class RunsCode:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("pwned",)


def zip_of(state: State) -> bytes:
    out = io.BytesIO()
    torch.save(state, out)
    return out.getvalue()


def backbone(state: State) -> State:
    return {k: v for k, v in state.items() if not k.startswith("final_layer")}


def resnet_classifier() -> State:
    state = {
        k: v
        for k, v in build_network(arch.SimpleBaseline(50)).state_dict().items()
        if not k.startswith(("deconv", "final"))
    }
    return {**state, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def odd_baseline() -> State:
    state = build_network(arch.SimpleBaseline(50)).state_dict()
    return {**state, "deconv_layers.0.weight": torch.zeros(2048, 256, 5, 5)}


def mangled(state: State) -> bytes:
    """A zip archive in which the name of a file is marked as UTF-8, but is not."""
    data = bytearray(zip_of(state))
    at = data.rindex(b"PK\x01\x02")
    data[at + 8 : at + 10] = (0x800).to_bytes(2, "little")
    data[at + 46 : at + 48] = b"\xff\xfe"
    return bytes(data)


def drop(*names: str) -> Callable[[State], State]:
    return lambda state: {k: v for k, v in state.items() if k not in names}


def spoil(value: float) -> Callable[[State], State]:
    def change(state: State) -> State:
        spoiled = state["stage2.0.branches.0.0.conv1.weight"].clone()
        spoiled[0, 0, 0, 0] = value
        return {**state, "stage2.0.branches.0.0.conv1.weight": spoiled}

    return change


def saved(content: Any) -> Callable[[State, Path], None]:
    return lambda state, path: torch.save(content(state) if callable(content) else content, path)


def written(make: Callable[[State], bytes]) -> Callable[[State, Path], None]:
    return lambda state, path: [path.write_bytes(make(state))].clear()


def bomb(_: State) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(5_000_000))
    return out.getvalue()


def legacy_bomb(state: State) -> bytes:
    out = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, out, _use_new_zipfile_serialization=False)
    # declare 2 billion values (BININT) for the storage of 3 values (BININT1)
    return out.getvalue().replace(b"cpuq\x06K\x03N", b"cpuq\x06J\xff\xff\xff\x7fN", 1)


BAD: dict[str, tuple[Callable[[State, Path], Any], str]] = {
    "not a checkpoint": (written(lambda s: b"just some text, nothing else"), "is not a checkpoint"),
    "empty": (written(lambda s: b""), "is empty"),
    "truncated zip": (written(lambda s: zip_of(s)[:-4000]), "is truncated or damaged"),
    "an HTML page": (written(lambda s: b"\n<!DOCTYPE html><html><body>Sign in</body></html>"), "is an HTML page"),
    "a Git LFS pointer": (
        written(lambda s: b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 114000000\n"),
        "is a Git LFS pointer and not the file itself — fetch the file with `git lfs pull`",
    ),
    "an error of a server": (written(lambda s: b'{"error": "Repository not found"}'), "is JSON text"),
    "room for a download": (written(lambda s: bytes(100_000)), "is empty"),
    "half a download": (
        written(lambda s: zip_of(s)[: len(zip_of(s)) // 2]),
        "its end is missing, as of a download that did not finish",
    ),
    "half a download in its room": (
        written(lambda s: zip_of(s)[: len(zip_of(s)) // 2] + bytes(len(zip_of(s)) // 2)),
        "its end is missing",
    ),
    "a gzip archive": (written(lambda s: gzip.compress(zip_of(s))), "is a gzip archive, not a checkpoint"),
    "TorchScript": (
        lambda s, path: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path),
        "is a TorchScript program",
    ),
    "another zip": (written(lambda s: b"PK\x05\x06" + bytes(18)), "is a zip archive, but not a PyTorch checkpoint"),
    "a zip bomb": (written(bomb), "declares more data than it holds"),
    "a legacy bomb": (written(legacy_bomb), "declares a tensor of 2,147,483,647 values"),
    "a view that repeats a value": (
        saved(lambda s: {**s, "final_layer.bias": torch.zeros(1).expand(10**10)}),
        "more data than it holds",
    ),
    "code in a zip": (saved({"state_dict": RunsCode()}), "would run code when opened"),
    "code in a plain pickle": (written(lambda s: pickle.dumps(RunsCode())), "would run code when opened"),
    "a whole module": (saved(lambda s: torch.nn.Linear(2, 2)), "would run code when opened"),
    "a plain pickle": (written(lambda s: pickle.dumps({"a": 1})), "is a pickle, but not one PyTorch wrote"),
    "no tensors": (saved({"epoch": 3}), "holds no state dict"),
    "a backbone": (saved(backbone), "backbone without a head"),
    "an mmpose backbone": (
        saved(lambda s: {f"backbone.{k}": v for k, v in backbone(s).items()}),
        "backbone without a head",
    ),
    "a classifier without its last layer": (
        saved(headed("incre_modules.0.0.conv1.weight")),
        "is an HRNet-W8 for image classification without its last layer",
    ),
    "mmpretrain's without its last layer": (
        saved(headed("neck.0.increase_layers.0.0.conv1.weight", before="backbone.")),
        "is an HRNet-W8 for image classification without its last layer",
    ),
    "a classifier": (
        saved(lambda s: resnet_classifier()),
        "a ResNet-50 of another task: an ImageNet classification network",
    ),
    "a ResNet-18": (
        saved(
            {
                "conv1.weight": torch.zeros(64, 3, 7, 7),
                **{f"layer{n}.{u}.conv{c}.weight": torch.zeros(1) for n in range(1, 5) for u in (0, 1) for c in (1, 2)},
            }
        ),
        "is a ResNet with 2-2-2-2 units — SimpleBaseline takes ResNet-50, 101 and 152",
    ),
    "a detector": (saved(lambda s: {**backbone(s), "rpn_head.rpn_conv.weight": torch.zeros(1)}), "a detector"),
    "another segmentation head": (
        saved(
            lambda s: {
                **{f"backbone.{k}": v for k, v in backbone(s).items()},
                "decode_head.lateral.weight": torch.zeros(1),
            }
        ),
        "a segmentation network with a head of another kind",
    ),
    "another head on a ResNet": (
        saved(
            lambda s: {
                **{f"backbone.{k}": v for k, v in resnet_classifier().items()},
                "decode_head.conv_seg.weight": torch.zeros(1),
            }
        ),
        "is a ResNet-50 with a segmentation head of another kind",
    ),
    "another architecture": (saved({"encoder.weight": torch.zeros(3, 3)}), "of another architecture"),
    "a head of two dimensions": (
        saved(lambda s: {**s, "final_layer.weight": torch.zeros(17, 8)}),
        "expected a convolution's four dimensions",
    ),
    "another deconvolution": (saved(lambda s: odd_baseline()), "transposed convolutions of kernel 5"),
    "a missing first convolution": (
        saved(drop("conv1.weight", "conv2.weight")),
        " missing (conv1.weight, conv2.weight",
    ),
    "a name that is no text": (written(lambda s: mangled(s)), "is truncated or damaged"),
    "missing tensors": (
        saved(drop("stage3.0.fuse_layers.0.1.1.weight", "stage4.0.branches.2.0.conv2.weight")),
        "2 missing (stage3.0.fuse",
    ),
    "a missing key tensor": (saved(drop("final_layer.bias")), "1 missing (final_layer.bias)"),
    "unexpected tensors": (
        saved(lambda s: {**s, **{f"extra.{i}": torch.zeros(1) for i in range(7)}}),
        "7 unexpected (extra.0, extra.1, extra.2, extra.3, extra.4, ...)",
    ),
    "images of five channels": (
        saved(lambda s: {**s, "conv1.weight": s["conv1.weight"][:, :1].repeat(1, 5, 1, 1)}),
        "is a network for images of 5 channels (conv1.weight is (8, 5, 3, 3)) — this tool takes networks of 1 to 4",
    ),
    "another shape": (
        saved(lambda s: {**s, "stage4.1.branches.0.0.bn1.weight": torch.zeros(9)}),
        "another shape (stage4.1.branches.0.0.bn1.weight is (9,), expected (8,))",
    ),
    "NaN": (saved(spoil(float("nan"))), "NaN or infinite values in 1 tensors (stage2.0.branches.0.0.conv1.weight)"),
    "infinity": (saved(spoil(float("inf"))), "NaN or infinite"),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_file_has_its_own_message(
    name: str,
    tiny_network: torch.nn.Module,
    tmp_path: Path,
    run: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make, sentence = BAD[name]
    make(dict(tiny_network.state_dict()), tmp_path / "bad.pth")
    for command in (("inspect", "bad.pth"), ("export", "bad.pth", "-o", "out.onnx")):
        code, out, err = run(*command)
        assert code == 2
        assert out == ""
        assert err.startswith("error: bad.pth ")
        assert sentence in err
        assert err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.pth"]  # nothing written, nothing run


def test_the_messages_differ(tiny_network: torch.nn.Module, tmp_path: Path) -> None:
    """Some kinds share a message because they are variants of one problem: zip bombs, pickles with code, backbones,
    damaged archives, missing tensors, and values that are NaN or infinite."""
    sentences = []
    for make, _ in BAD.values():
        make(dict(tiny_network.state_dict()), tmp_path / "bad.pth")
        with pytest.raises(BadInput) as error:
            checkpoints.load(tmp_path / "bad.pth")
        sentences.append(re.sub(r"\(.*?\)|\d[\d,]*", "", str(error.value)))
    assert len(set(sentences)) >= len(BAD) - 10


@pytest.mark.parametrize("how", ["zip", "legacy"])
@pytest.mark.parametrize("key", ["", "model"])
def test_a_model_saved_whole_is_not_run_and_the_lines_that_save_its_weights_do(
    how: str, key: str, tiny_network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save({key: tiny_network, "epoch": 3} if key else tiny_network, Path("whole.pth"), how)
    with pytest.raises(BadInput, match=r"is a whole model, saved with torch.save\(model\)") as error:
        checkpoints.load("whole.pth")
    exec(str(error.value).rpartition("lines of Python: ")[2], {})
    found = checkpoints.load("whole_weights.pth")
    assert all(torch.equal(found.state[k], v) for k, v in tiny_network.state_dict().items())


@pytest.mark.parametrize("keep", [100, 3000])
def test_a_truncated_legacy_file_is_refused(keep: int, tiny_network: torch.nn.Module, tmp_path: Path) -> None:
    path = save(dict(tiny_network.state_dict()), tmp_path / "a.pth", "legacy")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadInput, match="truncated or damaged"):
        checkpoints.load(path)


def test_a_truncated_safetensors_file_is_refused(tiny_network: torch.nn.Module, tmp_path: Path) -> None:
    path = save(dict(tiny_network.state_dict()), tmp_path / "a.safetensors", "safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="not a complete safetensors file"):
        checkpoints.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        checkpoints.load(tmp_path / "none.pth")
    with pytest.raises(BadInput, match="is a folder"):
        checkpoints.load(tmp_path)


@pytest.mark.parametrize("size", ["100x64", "64x100", "16x64"])
def test_a_size_the_fusion_cannot_take_is_refused(
    size: str, tiny_checkpoint: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = run("export", tiny_checkpoint, "-o", tmp_path / "a.onnx", "--size", size)
    assert code == 2
    assert "must be multiples of 32 — the nearest is --size" in err
    assert not (tmp_path / "a.onnx").exists()


def seg_state(classes: int) -> tuple[State, arch.SegHRNet]:
    shape = arch.SegHRNet(arch.Body.of_width(8, (1, 1, 1), 1, PLAIN), classes)
    network = build_network(shape)
    random_weights(network, seed=5)
    return dict(network.state_dict()), shape


def as_mmseg(state: State) -> State:
    """The same tensors as mmsegmentation names them. It has no bias before a batch norm, but an auxiliary head."""
    renamed = {
        "last_layer.0.": "decode_head.convs.0.conv.",
        "last_layer.1.": "decode_head.convs.0.bn.",
        "last_layer.3.": "decode_head.conv_seg.",
    }
    out = {"auxiliary_head.conv_seg.weight": torch.zeros(19, 8, 1, 1)}
    for name, tensor in state.items():
        found = next((h for h in renamed if name.startswith(h)), "")
        out[renamed[found] + name.removeprefix(found) if found else f"backbone.{name}"] = tensor
    del out["decode_head.convs.0.conv.bias"]
    return out


def test_the_loss_of_official_segmentation_training_is_ignored(tmp_path: Path) -> None:
    state, shape = seg_state(19)
    wrapped = {**prefixed("model.")(state), "loss.criterion.weight": torch.ones(19)}
    for content in (wrapped, prefixed("module.")(wrapped)):
        found = checkpoints.load(save(content, tmp_path / "a.pth", "zip"))
        assert found.architecture == shape
        assert list(found.state) == list(state)


def test_mmsegmentation_upsamples_in_two_steps_and_has_no_bias_before_a_norm(tmp_path: Path) -> None:
    state, shape = seg_state(19)
    found = checkpoints.load(save({"meta": {}, "state_dict": as_mmseg(state)}, tmp_path / "a.pth", "zip"))
    assert found.layout == "mmsegmentation"
    two_steps = dataclasses.replace(PLAIN, two_steps=True)
    assert found.architecture == shape.with_upsampling(two_steps)
    assert not found.state["last_layer.0.bias"].any()
    assert "align_corners False, in two steps" in found.assumption
    state["last_layer.0.bias"].zero_()
    network = build_network(found.architecture)
    network.load_state_dict(state)
    x = torch.randn(1, 3, 72, 100)
    with torch.inference_mode():
        assert torch.equal(found.network()(x), network(x))


def test_the_body_of_hrnet_pytorch_is_under_backbone_model_and_upsamples_aligned(tmp_path: Path) -> None:
    state, shape = seg_state(21)
    named = {k if k.startswith("last_layer") else f"backbone.model.{k}": v for k, v in state.items()}
    found = checkpoints.load(save(named, tmp_path / "a.pth", "zip"))
    assert found.layout == "hrnet-pytorch, prefix backbone.model."
    assert found.architecture == shape.with_upsampling(CORNERS)
    assert all(torch.equal(found.state[k], v) for k, v in state.items())


def test_an_official_network_without_a_bias_is_incomplete(tmp_path: Path) -> None:
    state, _ = seg_state(19)
    del state["last_layer.0.bias"]
    with pytest.raises(BadInput, match="1 missing \\(last_layer.0.bias\\)"):
        checkpoints.load(save(state, tmp_path / "a.pth", "zip"))


@pytest.mark.parametrize(
    ("classes", "aligned"), [(19, False), (20, False), (59, False), (60, False), (7, False), (150, True), (171, True)]
)
def test_an_assumption_about_upsampling_is_reported(classes: int, aligned: bool, tmp_path: Path) -> None:
    state, _ = seg_state(classes)
    found = checkpoints.load(save(state, tmp_path / "a.pth", "zip"))
    assert found.architecture.body.upsample == (CORNERS if aligned else PLAIN)  # type: ignore[attr-defined]
    assert (
        f"upsampling of its branches is assumed to be bilinear, align_corners {aligned} — if it is not"
        in found.assumption
    )
    other = found.architecture.with_upsampling(PLAIN if aligned else CORNERS)
    known = found.with_known(other)
    assert known.architecture == other == known.card.architecture
    assert "upsampling" not in known.assumption
    assert found.with_known(TINY).architecture == found.architecture


def test_an_assumption_about_keypoints_is_reported(
    tiny_checkpoint: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    found = checkpoints.load(tiny_checkpoint)
    assert found.assumption.startswith("its 17 keypoints are assumed to be those of coco-keypoints")
    assert "are assumed to be those of coco-keypoints" in run("inspect", tiny_checkpoint)[1]
    assert checkpoints.load("pose_hrnet_w16_demo_128x96").assumption == ""


def test_a_card_of_the_users_own(
    tiny_checkpoint: Path, tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    import json

    import yaml

    own = {
        "architecture": arch.to_dict(TINY),
        "input": {"height": 64, "width": 64},
        "dataset": "mine",
        "keypoints": {"names": [f"point_{i}" for i in range(17)]},
    }
    path, out = tmp_path / "mine.yaml", tmp_path / "a.onnx"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(own))))
    assert run("export", tiny_checkpoint, "-o", out, "--card", path)[0] == 0
    described = json.loads(run("inspect", out, "--json")[1])
    assert (described["card"], described["trained on"]) == ("mine", "mine")
    for broken, sentence in (
        ({**own, "keypoints": {"names": ["a"]}}, "names 1 keypoints, its network has 17"),
        ({"input": 3}, "is not a model card"),
        ({"name": "mine"}, "is not a model card: it has no architecture and no input"),
        ("x: [", "is not a model card"),
    ):
        path.write_text(broken if isinstance(broken, str) else yaml.safe_dump(json.loads(json.dumps(broken))))
        code, _, err = run("export", tiny_checkpoint, "-o", tmp_path / "b.onnx", "--card", path)
        assert code == 2
        assert sentence in err
