"""A folder with a folder for each class, and lists of images and classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks import whole_images
from hrnet_deploy.tasks.images import write_image
from hrnet_deploy.tasks.loading import load_dataset


def image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.zeros((4, 4, 3), np.uint8))
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "val"
    for name in ("n02/b.png", "n01/a 1.png", "n01/c.png", ".cache/x.png"):
        image(folder / name)
    (folder / "empty").mkdir()
    return folder


def classes(images: Path, source: Path | None = None) -> dict[str, str]:
    data = load_dataset(images, source)
    assert data.truth is not None and data.whole_images
    names = {c["id"]: c["name"] for c in data.truth["categories"]}
    known = {a["image_id"]: names[a["category_id"]] for a in data.truth["annotations"]}
    return {i.path.name: known[i.image_id] for i in data.items}


def test_a_folder_for_each_class(images: Path) -> None:
    assert classes(images) == {"a 1.png": "n01", "c.png": "n01", "b.png": "n02"}
    assert len(load_dataset(images, limit=2)) == 2


def test_one_folder_of_images_is_none_for_each_class(tmp_path: Path) -> None:
    image(tmp_path / "images" / "a.png")
    with pytest.raises(BadInput, match="there are no images in"):
        load_dataset(tmp_path)


def test_images_beside_the_folders_are_the_data_set(images: Path) -> None:
    image(images / "top.png")
    assert [i.path.name for i in load_dataset(images).items] == ["top.png"]


@pytest.mark.parametrize(
    "lines",
    [
        "n01/a 1.png great white shark\nn01/c.png dog\n",
        "# a comment\n\n./n01/a 1.png\tgreat white shark\nc.png\tdog\n",
        'filename,label\n"n01/a 1.png","great white shark"\nn01\\c.png,dog\n',
    ],
)
def test_a_list_of_images_and_classes(lines: str, images: Path, tmp_path: Path) -> None:
    if "\nc.png" in lines:
        (images / "n01/c.png").rename(images / "c.png")
    (tmp_path / "list.txt").write_text(lines)
    assert classes(images, tmp_path / "list.txt") == {"a 1.png": "great white shark", "c.png": "dog"}


def test_images_of_a_list_that_are_not_there_are_counted(images: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("n01/c.png 10\nn02/b.png 9\nn02/z.png 9\n")
    data = load_dataset(images, tmp_path / "list.txt")
    assert data.remarks == {"left_out": "1 images of list.txt, which are not there"}
    assert data.truth is not None and [c["name"] for c in data.truth["categories"]] == ["9", "10"]


def test_a_csv_file_of_two_columns_is_a_list_and_one_of_faces_is_none(images: Path, tmp_path: Path) -> None:
    source = tmp_path / "list.csv"
    source.write_text('image,class\nn01/c.png,"great white shark"\n')
    assert classes(images, source) == {"c.png": "great white shark"}
    source.write_text("image_name,scale,center_w,center_h,original_0_x,original_0_y\nc.png,1.2,3,4,1,2\n")
    assert whole_images.read_whole_images(images, source) is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"n01/c.png dog\nn02.b\n", "has the line 2 'n02.b' — write the path of an image and its class"),
        (b"x/y.png dog\n", "none of its 1 images is there, such as x/y.png"),
        (b"a" * 300 + b".png dog\n", "none of its 1 images is there"),
        (b"\n", "it has no line"),
        (b"\xff\xfe\x00", "is no text in UTF-8"),
    ],
)
def test_a_list_that_is_none_is_refused(content: bytes, sentence: str, images: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(content)
    with pytest.raises(BadInput, match=sentence):
        load_dataset(images, tmp_path / "list.txt")


def test_a_list_of_another_size_is_refused(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_images, "LONGEST", 2**20)
    (tmp_path / "list.txt").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(BadInput, match="has more than 1 MiB"):
        load_dataset(images, tmp_path / "list.txt")
