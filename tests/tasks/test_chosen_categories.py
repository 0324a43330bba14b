"""--category chooses categories of the annotations, where names do not match or only some of them count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.categories import Categories, match_classes, match_people
from hrnet_deploy.tasks.dataset import Dataset, Item
from hrnet_deploy.workflow.split import Split

NAMES = ("person", "ball", "crate")
OWN = (1, 2, 3)


def of(*chosen: str, names: dict[int, str] | None = None) -> Categories:
    known = {1: "box", 2: "person", 9: "ball"} if names is None else names
    return Categories(known, dict.fromkeys(known or (4, 5), 3), chosen=chosen)


@pytest.mark.parametrize(
    ("chosen", "ids"),
    [
        ((), (2, 9, None)),
        (("crate=box",), (2, 9, 1)),
        (("crate=1",), (2, 9, 1)),
        (("Crates=BOX",), (2, 9, 1)),
        (("person",), (2, None, None)),
        (("2", "ball"), (2, 9, None)),
        (("crate=box", "box"), (None, None, 1)),
        (("crate=ball",), (2, None, 9)),
    ],
)
def test_classes_are_matched_as_chosen(chosen: tuple[str, ...], ids: tuple[int | None, ...]) -> None:
    found = match_classes(NAMES, OWN, of(*chosen))
    assert found.ids == ids
    assert ("chosen with --category" in found.how.get("classes", "")) == bool(chosen)


def test_a_chosen_match_is_enough_where_no_name_fits() -> None:
    foreign = of("person=worker", names={7: "worker", 8: "forklift"})
    assert match_classes(NAMES, OWN, foreign).ids == (7, None, None)
    unnamed = of("person=4", names={})
    assert match_classes(NAMES, OWN, unnamed).ids == (4, None, None)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (("worker",), "--category worker: no category is called so — the annotations have 1 \\(box\\), 2"),
        (("3",), "--category 3: no category is called so"),
        (("truck=box",), "no class is called truck — the network has person, ball, crate"),
        (("box",), "no class of the network has a category that is chosen"),
    ],
)
def test_a_choice_that_does_not_fit_is_refused(chosen: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        match_classes(NAMES, OWN, of(*chosen))


def test_the_boxes_of_a_chosen_category_are_looked_at() -> None:
    animals = {0: "dog", 5: "horse"}
    known = Categories(animals, {0: 2, 5: 4}, frozenset({0, 5}), ("horse",))
    found = match_people(("person",), 1, known)
    assert (found.id, found.how["boxes_of"]) == (5, "category 5 (horse), chosen with --category")
    for several in (("dog", "horse"), ("person=dog",)):
        with pytest.raises(BadInput, match="takes one category here"):
            match_people(("person",), 1, Categories(animals, {}, chosen=several))


def test_a_choice_is_part_of_what_identifies_images(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"image")
    boxes = ({"category_id": 1, "bbox": [0, 0, 1, 1]},)
    plain = Dataset((Item(tmp_path / "a.png", 1, boxes, categories=of()),))
    assert plain.choosing(()) is plain
    assert plain.choosing(("person",)).digest not in (plain.digest, plain.choosing(("ball",)).digest)
    with pytest.raises(BadInput, match="--category person needs annotations with categories"):
        Dataset((Item(tmp_path / "a.png", 1),)).choosing(("person",))
    assert Split(tmp_path, categories=("person", "ball")).arguments().count("--category") == 2


def test_a_network_that_labels_pixels_has_no_categories(
    exported_seg: Callable[..., Path], tmp_path: Path, run: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = run("eval", exported_seg(), "--data", tmp_path, "--category", "person")
    assert code == 2 and "--category is the choice of categories of pose, detection" in err
