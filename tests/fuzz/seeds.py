"""The valid files that are mutated, and files as other people's tools write them, by the reader they are for."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from safetensors.torch import save as save_safetensors
from support import results
from support.interpreter import ROOT
from support.layouts import LAYOUTS
from support.mat import mat_file

from fuzz.workplace import Workplace
from hrnet_deploy.cards import card
from hrnet_deploy.graph import metadata
from hrnet_deploy.graph.calibrate import Statistics
from hrnet_deploy.graph.plan import BuildOptions, Manifest
from hrnet_deploy.results import codec

Seeds = list[bytes]


def mpii_files(place: Workplace) -> Seeds:
    """Files of MATLAB with the people of MPII, packed and not."""
    point = {"x": 3.0, "y": 4.0, "id": np.array([[2]], "u1"), "is_visible": "1"}
    rect = {"x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0, "annopoints": [{"point": [point, point]}]}
    rect |= {"scale": 0.5, "objpos": [{"x": 5.0, "y": 5.0}]}
    whole = {"RELEASE": [{"annolist": [{"image": [{"name": "a.jpg"}], "annorect": [rect]}]}]}
    return [mat_file(whole), mat_file(whole, compressed=True)]


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def coco(place: Workplace) -> Seeds:
    """COCO files, and the forms in which other tools write them."""
    whole = place.annotations
    people = [a for a in whole["annotations"] if a.get("keypoints")]

    def of_people(categories: Any = None, **fields: Any) -> bytes:
        made = [{**a, **fields} for a in people]
        return _json({**whole, "annotations": made, "categories": categories or whole["categories"][:1]})

    nine = [{"id": 9, "name": "armpoint"}]
    windows = {**whole, "images": [{**i, "file_name": f"val\\{i['file_name']}"} for i in whole["images"]]}
    text = [{**a, "area": str(a["area"]), "iscrowd": None, "category_id": str(a["category_id"])} for a in people]
    unseen = [{**a, "keypoints": [v * (n % 3 < 2) for n, v in enumerate(a["keypoints"])]} for a in people]
    return [
        _json(whole),
        of_people(),
        of_people(nine, category_id=9),
        of_people(area=0),
        of_people(area=None),
        b"\xef\xbb\xbf" + of_people(),
        _json(windows),
        _json({**whole, "annotations": text}),
        _json({**whole, "annotations": unseen}),
        _json({**whole, "categories": []}),
        _json({"_via_settings": {}, "_via_img_metadata": {"a.png9": {"filename": "a.png", "regions": []}}}),
        _json({"shapes": [], "imagePath": "a.png", "imageHeight": 9}),
        _json([{"data": {"image": "a.png"}, "annotations": []}]),
        _json([{"image": "a.png", "annotations": []}]),
    ]


def boxes(place: Workplace) -> Seeds:
    """Lists of detections."""
    whole = place.annotations
    stems = {i["id"]: Path(i["file_name"]).stem for i in whole["images"]}
    found = [
        {"image_id": a["image_id"], "category_id": 1, "bbox": a["bbox"], "score": 0.9}
        for a in whole["annotations"]
        if a["category_id"] == 1
    ]
    return [
        _json(found),
        _json([{**d, "category_id": 0} for d in found]),
        _json([{**d, "image_id": stems[d["image_id"]]} for d in found]),
        _json([{"image_id": d["image_id"], "bbox": d["bbox"]} for d in found]),
        *coco(place)[:2],
    ]


def class_lists(place: Workplace) -> Seeds:
    """Lists of images and classes."""
    names = [i["file_name"] for i in place.annotations["images"]]
    forms = ("{} person\n", "{}\tgreat white shark\n", '"{}","ball"\n', "# comment\n./{} 7\n")
    return ["".join(form.format(n) for n in names).encode() for form in forms]


def cards(_: Workplace) -> Seeds:
    """Cards of every task, and what people write in them."""
    paths = sorted((ROOT / "models").glob("demo/*.yaml"))
    paths += [ROOT / "models" / n for n in ("pose_hrnet_w32_256x192.yaml",)]
    found = [yaml.safe_load(p.read_text()) for p in paths]
    pose = found[-1]
    mm = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375], "colour": "rgb"}
    own = {
        "names": ["nose", "left_eye", "right_eye"],
        "flip_pairs": [[1, 2]],
        "skeleton": [[1, 2], [2, 3]],
        "sigmas": [0.02, 0.03, 0.03],
    }
    three = {**pose, "architecture": {"family": "pose_hrnet", "width": 32, "keypoints": 3}, "keypoints": own}
    return [_yaml(c) for c in (*found, {**pose, "input": {**pose["input"], **mm}}, three)]


def pose_cards(_: Workplace) -> Seeds:
    """Cards of the tiny pose network."""
    from support.tiny import SIZE, TINY

    from hrnet_deploy import architecture as arch

    card = {
        "architecture": json.loads(json.dumps(arch.to_dict(TINY))),
        "input": {"height": SIZE[0], "width": SIZE[1]},
        "dataset": "drawn-people",
    }
    return [_yaml(card)]


def _yaml(values: Any) -> bytes:
    return yaml.safe_dump(values, sort_keys=False).encode()


def label_maps(place: Workplace) -> Seeds:
    """Label maps: grey, a mask of 0 and 255, with a palette, with one and with sixteen bits."""
    grey = [p.read_bytes() for p in sorted((place.images / "labels").glob("*.png"))[:2]]
    whole = cv2.imdecode(np.frombuffer(grey[0], np.uint8), cv2.IMREAD_UNCHANGED)
    assert whole is not None
    parts = whole[:40, :40]
    one_bit = [cv2.IMWRITE_PNG_BILEVEL, 1]
    return [
        *grey,
        _encoded(".png", np.asarray((parts > 0) * 255, np.uint8)),
        _encoded(".png", np.asarray((parts > 0) * 255, np.uint8), one_bit),
        _encoded(".png", parts.astype(np.uint16) * 26),
        _encoded(".png", np.dstack([parts] * 3)),
        with_palette(parts),
    ]


def _encoded(suffix: str, image: Any, options: Any = ()) -> bytes:
    ok, data = cv2.imencode(suffix, image, list(options))
    assert ok
    return bytes(data)


def with_palette(numbers: Any) -> bytes:
    """A PNG file whose pixels are numbers of a palette."""
    import struct
    import zlib

    height, width = numbers.shape
    rows = b"".join(b"\0" + bytes(row) for row in numbers.astype(np.uint8))
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": bytes(range(256)) * 3,
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    made = b"\x89PNG\r\n\x1a\n"
    for name, content in chunks.items():
        made += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return made


def images(place: Workplace) -> Seeds:
    """Images of every format and depth."""
    path = sorted(place.images.glob("*.png"))[0]
    whole = cv2.imread(str(path))
    assert whole is not None
    image = cv2.resize(whole, (48, 40))
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    deep = image.astype(np.uint16) * 257
    kinds = [(s, image) for s in (".png", ".jpg", ".bmp", ".webp", ".tiff")]
    kinds += [(".png", grey), (".png", deep), (".tiff", deep), (".png", deep // 16), (".png", np.dstack([image, grey]))]
    kinds += [(".tiff", image.astype(np.float32) / 255)]
    jpeg = _encoded(".jpg", image)
    turned = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    return [*(_encoded(s, i) for s, i in kinds), with_palette(grey), jpeg[:2] + turned + jpeg[2:]]


def checkpoints(place: Workplace) -> Seeds:
    """Checkpoints of every task, layout and format, and files that are taken for one."""
    state = torch.load(place.checkpoint("pose"))
    layouts = [LAYOUTS[n][0](state) for n in ("plain", "state_dict", "mmpose 1.x", "Lightning and compiled")]
    twins = {"state_dict": state | {f"ema_{k.replace('.', '_')}": v for k, v in state.items()}}
    others = [torch.load(place.checkpoint(t)) for t in ("segmentation", "detection")]
    made = [_saved(c) for c in (*layouts, twins, *others)]
    made += [_saved(state, in_zip=False), _saved({"state_dict": state}, in_zip=False), save_safetensors(state)]
    return [
        *made,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        b"<!doctype html><html></html>",
    ]


def _saved(content: Any, in_zip: bool = True) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=in_zip)
    return out.getvalue()


def deeplabcut(_: Workplace) -> Seeds:
    """The configurations that DeepLabCut writes beside a snapshot."""
    found = []
    for method, inference in (("bu", {}), ("td", {"top_down_crop": {"width": 64, "height": 96}})):
        head = {"type": "HeatmapPredictor", "apply_sigmoid": False, "clip_scores": True, "location_refinement": True}
        config = {
            "method": method,
            "data": {"colormode": "RGB", "inference": {"normalize_images": True, **inference}},
            "metadata": {"project_path": "mice", "bodyparts": ["snout", "leftear", "rightear", "tailbase"]},
            "model": {"heads": {"bodypart": {"predictor": head}}},
        }
        found.append(_yaml(config))
    return found


def foreign(place: Workplace) -> Seeds:
    """The ONNX file of the tiny pose network as another exporter would write it: without a description."""
    model = metadata.load_model(place.onnx("pose"))
    del model.metadata_props[:]
    return [model.SerializeToString()]


def onnx_files(place: Workplace) -> Seeds:
    """The ONNX file of the tiny pose network, and the same with the cards of other tasks."""
    made = [place.onnx("pose").read_bytes()]
    for name in ("seg_hrnetv2_w16_demo_256x256", "det_hrnetv2p_w16_demo_256x256"):
        model = metadata.load_model(place.onnx("pose"))
        metadata.describe(model, metadata.Description(card(name)))
        made.append(model.SerializeToString())
    return made


def pose_onnx(place: Workplace) -> Seeds:
    """The ONNX file of the tiny pose network."""
    return onnx_files(place)[:1]


def statistics(place: Workplace) -> Seeds:
    """Statistics of two tensors on three inputs."""
    path = place.folder / "seed.npz"
    made = Statistics.empty("0" * 64, ("image", "conv1"))
    rng = np.random.default_rng(5)
    for name in ("a.png", "b.png", "c.png"):
        made.add(f"{name}:0123456789abcdef", [rng.normal(size=99).astype(np.float32) for _ in made.names])
    made.save(path)
    return [path.read_bytes()]


def findings(_: Workplace) -> Seeds:
    """The notes of an interrupted search."""
    return [_json({"schema": 1, "kind": "notes", "found": {"a" * 64: {"figures": [1.5, None]}}})]


def stages(_: Workplace) -> Seeds:
    """The inputs of a stage."""
    return [_json({"schema": 1, "kind": "stage inputs", "inputs": {"size": "1"}, "outputs": {"a": "b"}, "result": "c"})]


def result_files(_: Workplace) -> Seeds:
    """Results of every kind, of this schema and the earlier one."""
    made = [_json(codec.to_dict(r)) for kind in results.examples().values() for r in kind]
    made = [m.replace(b"NaN", b"null") for m in made]
    return made + [p.read_bytes() for p in sorted((ROOT / "tests/results/schema1").glob("*.json"))]


def manifests(place: Workplace) -> Seeds:
    """The manifest of a plan."""
    import onnx

    description = onnx.load(place.onnx("pose")).metadata_props[0].value
    made = [
        Manifest(
            onnx={"name": "int8.onnx", "sha256": "01" * 32},
            plan=hashlib.sha256(b"a plan").hexdigest(),
            tensorrt="10.16.1",
            identity={"gpu": "NVIDIA H100", "compute_capability": "9.0", "driver": "580.1"},
            options=dataclasses.asdict(options),
            profiles={"image": [[1, 3, 96, 64], [1, 3, 96, 64], [8, 3, 96, 64]]},
            description=json.loads(description),
            build_seconds=9.5,
            layers={"int8": 200, "float": 3},
        )
        for options in (BuildOptions(), BuildOptions(batch=(1, 4, 8), size=((96, 64),) * 3, workspace=2**30, tf32=True))
    ]
    return [_json({"schema": 1, "kind": "plan", **dataclasses.asdict(m)}) for m in made]
