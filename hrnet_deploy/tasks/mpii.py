"""MPII's annotations, a list with one entry per person, as the content of a COCO file.

Source: HRNet-Human-Pose-Estimation, lib/dataset/mpii.py: coordinates begin at 1, `scale` is the height of a person in
units of 200 pixels, and the box is moved down by 15 pixels of it. Its evaluation takes the boxes of heads and the
missing keypoints from gt_valid.mat. The file of the data set itself, mpii_human_pose_v1_u12_1.mat, holds everything in
one structure, RELEASE.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.matlab import read_mat

FIELDS = {"image", "center", "scale"}
JOINTS = 16
UNIT, LOWER = 200, 15  # pixels of the official scale; by how many of its units of one pixel a box is moved down


def is_mpii(content: Any) -> bool:
    """Whether this is a list of people as in MPII's train.json and valid.json."""
    return isinstance(content, list) and bool(content) and isinstance(content[0], Mapping) and set(content[0]) >= FIELDS


def as_coco(content: Sequence[Mapping[str, Any]], source: Path) -> dict[str, Any]:
    """The same people as COCO annotations, whose boxes are used as they are. Raises BadInput, naming `source`, where
    one cannot be read."""
    numbers: dict[str, int] = {}
    annotations = []
    for place, person in enumerate(content):
        try:
            image = numbers.setdefault(str(person["image"]), len(numbers) + 1)
            annotations.append({"id": place + 1, "image_id": image, "category_id": 1, **_person(person)})
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise BadInput(
                f"{source} is a list of people as MPII has it, but entry {place} cannot be read ({error!r}) — each "
                "needs image, center, scale, joints and joints_vis"
            ) from error
    images = [{"id": number, "file_name": name} for name, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}


def _person(person: Mapping[str, Any]) -> dict[str, Any]:
    side = UNIT * float(person["scale"])
    x, y = (float(v) for v in person["center"])
    if x != -1:
        y += LOWER * float(person["scale"])
    made: dict[str, Any] = {"bbox": [x - 1 - side / 2, y - 1 - side / 2, side, side], "unclipped": True}
    if "joints" in person:
        seen = [float(v) for v in person.get("joints_vis") or [1] * len(person["joints"])]
        made["keypoints"] = [
            v for (px, py), s in zip(person["joints"], seen, strict=True) for v in (px - 1, py - 1, 2 * (s > 0))
        ]
    return made | ({"headbox": person["headbox"]} if "headbox" in person else {})


def read_release(source: Path) -> list[dict[str, Any]]:
    """The people of the data set's own file who have keypoints, which are those of the training images, in the form of
    its JSON. Raises BadInput where the file is another one."""
    content = read_mat(source)
    try:
        return [
            {"image": image["image"][0]["name"], **found}
            for image in content["RELEASE"][0]["annolist"]
            for rect in (image["annorect"] if isinstance(image["annorect"], list) else ())
            if (found := _of_rect(rect)) is not None
        ]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput(
            f"{source} does not have the people of MPII ({error!r}) — give mpii_human_pose_v1_u12_1.mat, or the "
            "valid.json of the official repository of HRNet pose estimation"
        ) from error


def _of_rect(rect: Mapping[str, Any]) -> dict[str, Any] | None:
    """One person; None where nothing is annotated, as in test images."""
    if not all(_some(rect.get(name)) for name in ("annopoints", "scale", "objpos")):
        return None
    joints, seen = [[-1.0, -1.0] for _ in range(JOINTS)], [0] * JOINTS
    for point in rect["annopoints"][0]["point"]:
        number = int(point["id"].item())
        joints[number], seen[number] = [float(point["x"].item()), float(point["y"].item())], 1
    person: dict[str, Any] = {
        "center": [float(rect["objpos"][0][axis].item()) for axis in "xy"],
        "scale": float(rect["scale"].item()),
        "joints": joints,
        "joints_vis": seen,
    }
    corners = [rect.get(name) for name in ("x1", "y1", "x2", "y2")]
    return person | (
        {"headbox": [float(c.item()) for c in corners if c is not None]} if all(map(_some, corners)) else {}
    )


def _some(value: Any) -> bool:
    return value is not None and (len(value) if isinstance(value, list) else np.size(value)) > 0


def beside(source: Path) -> Path | None:
    """The file of MATLAB that belongs to a list of people: gt_valid.mat to valid.json, mpii_gt_val.mat to
    mpii_val.json; None where there is none."""
    names = (f"gt_{source.stem}.mat", f"{source.stem.replace('mpii_', 'mpii_gt_')}.mat")
    return next((p for n in names if (p := source.with_name(n)).is_file()), None)


def with_heads(people: Sequence[Any], source: Path, heads: Path) -> list[Any]:
    """The people of a list with the boxes of their heads and their missing keypoints from the file beside it. Raises
    BadInput where that is of other people."""
    content = read_mat(heads)
    boxes, missing = (np.asarray(content.get(name)) for name in ("headboxes_src", "jnt_missing"))
    count = len(people)
    if boxes.shape != (2, 2, count) or missing.shape != (JOINTS, count):
        raise BadInput(
            f"{heads} is not of the {count} people in {source} (headboxes_src has the shape {boxes.shape}, jnt_missing "
            f"{missing.shape}) — move it away, or give the list that belongs to it"
        )
    return [
        {**p, "headbox": boxes[:, :, i].ravel().tolist(), "joints_vis": (1 - missing[:, i]).astype(int).tolist()}
        for i, p in enumerate(people)
    ]
