"""Draw a data set: `python models/demo/generate.py --count 500 --seed 7 -o DIR`.

It writes images, annotations.json (COCO format: keypoints of people, boxes of six classes) and labels/ (label maps of
body parts as 8-bit PNG files). With --faces it writes portraits and annotations.json (landmarks, centre and scale of
every face). With --things it draws images of one thing each, in a folder for each of twelve classes. The same seed
gives the same images.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
from drawn.face import LANDMARKS
from drawn.portrait import portrait
from drawn.scene import CATEGORIES, KEYPOINTS, PARTS, scene
from drawn.things import NAMES, thing
from rich.progress import track


def generate(folder: Path, indices: Sequence[int], seed: int, suffix: str = ".png") -> None:
    """Draw the images with these indices of the series `seed` into a folder, with annotations and label maps."""
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    categories = [{"id": i, "name": n} for i, n in enumerate(CATEGORIES, start=1)]
    categories[0]["keypoints"] = KEYPOINTS
    dataset: dict[str, list] = {"images": [], "annotations": [], "categories": categories, "parts": list(PARTS)}
    for index in track(indices, "drawing"):
        drawn = scene(seed, index)
        name = f"{index:06d}{suffix}"
        height, width = drawn.parts.shape
        dataset["images"].append({"id": index, "file_name": name, "height": height, "width": width})
        for annotation in drawn.annotations:
            dataset["annotations"].append({**annotation, "image_id": index, "id": len(dataset["annotations"]) + 1})
        cv2.imwrite(str(folder / name), drawn.image[..., ::-1])
        cv2.imwrite(str(folder / "labels" / f"{index:06d}.png"), drawn.parts)
    (folder / "annotations.json").write_text(json.dumps(dataset) + "\n")


def generate_faces(folder: Path, indices: Sequence[int], seed: int, suffix: str = ".png") -> None:
    """Draw the portraits with these indices of the series `seed` into a folder, with annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    categories = [{"id": 1, "name": "face", "keypoints": LANDMARKS}]
    dataset: dict[str, list] = {"images": [], "annotations": [], "categories": categories}
    for index in track(indices, "drawing"):
        drawn = portrait(seed, index)
        height, width = drawn.image.shape[:2]
        name = f"{index:06d}{suffix}"
        dataset["images"].append({"id": index, "file_name": name, "height": height, "width": width})
        for annotation in drawn.annotations:
            dataset["annotations"].append({**annotation, "image_id": index, "id": len(dataset["annotations"]) + 1})
        cv2.imwrite(str(folder / name), drawn.image[..., ::-1])
    (folder / "annotations.json").write_text(json.dumps(dataset) + "\n")


def generate_things(folder: Path, indices: Sequence[int], seed: int, suffix: str = ".png") -> None:
    """Draw images of one thing each into a folder for each class. The numbers in their names are the indices."""
    for name in NAMES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in track(indices, "drawing"):
        image, label = thing(seed, index)
        cv2.imwrite(str(folder / NAMES[label] / f"{index:06d}{suffix}"), image[..., ::-1])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", type=int, nargs="+", help="draw these images of the series, not the first --count")
    parser.add_argument("--jpeg", action="store_true", help="write smaller JPEG files")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--faces", action="store_true", help="draw faces with landmarks")
    kind.add_argument("--things", action="store_true", help="draw one thing in each image, for classification")
    arguments = parser.parse_args()
    draw = generate_faces if arguments.faces else generate_things if arguments.things else generate
    draw(
        arguments.output, arguments.only or range(arguments.count), arguments.seed, ".jpg" if arguments.jpeg else ".png"
    )
