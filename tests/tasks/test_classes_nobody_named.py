"""Classes without names, and images that are too large for the multi-scale test."""

from __future__ import annotations

import numpy as np
import pytest

from hrnet_deploy.cards import card
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import InputFormat, TaskOptions, task_of
from hrnet_deploy.tasks.categories import Categories, match_classes
from hrnet_deploy.tasks.fit import InputFit


def test_classes_that_nobody_named_are_as_many_as_the_categories() -> None:
    three = Categories.of({"categories": [{"id": i, "name": n} for i, n in enumerate("abc")]})
    assert match_classes(["class_0", "class_1", "class_2"], [1, 2, 3], three).ids == (0, 1, 2)
    with pytest.raises(
        BadInput, match="the network has the classes class_0, class_1, which nobody named — give a card"
    ):
        match_classes(["class_0", "class_1"], [1, 2], three)


def test_probabilities_of_a_huge_image_are_refused_before_memory_is_taken() -> None:
    chosen = card("seg_hrnetv2_w16_demo_256x256")
    task = task_of(chosen, InputFormat(), options=TaskOptions(scales=(1.0,)))
    sample = type("S", (), {"context": InputFit(1, (200_000, 200_000), (256, 256))})()
    with pytest.raises(BadInput, match="7 classes at 200000x200000 pixels take .* MB — use smaller images"):
        task.decode([{"logits": np.zeros((1, 7, 1, 1), np.float32)}], [sample])
