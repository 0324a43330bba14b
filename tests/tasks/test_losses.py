"""The losses of the tasks: their tensors are made on the device of the inputs, and a better answer has a lower loss."""

from __future__ import annotations

import pytest
import torch
from support.tiny import DETECTOR, FRAME

from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.detection.training import detection_loss
from hrnet_deploy.tasks.pose.training import pose_loss
from hrnet_deploy.tasks.segmentation.training import segmentation_loss


@pytest.fixture
def detector() -> torch.nn.Module:
    network = build_network(DETECTOR)
    random_weights(network, seed=4)
    return network.train()


GROUND_TRUTH = [torch.tensor([[1.0, 10, 12, 60, 70], [3, 40, 8, 100, 90]]), torch.zeros(0, 5)]


def test_a_detector_s_loss_makes_every_tensor_where_its_inputs_are(detector: torch.nn.Module) -> None:
    """A GPU is not here; a default device that no value can be read of stands for one that inputs are not on."""
    image = torch.randn(2, 3, *FRAME, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    wanted = detection_loss(detector, image, GROUND_TRUTH)  # type: ignore[arg-type]
    torch.manual_seed(0)
    with torch.device("meta"):
        found = detection_loss(detector, image, GROUND_TRUTH)  # type: ignore[arg-type]
    assert found.device == wanted.device
    assert torch.isfinite(wanted) and torch.allclose(found, wanted, rtol=1e-3)


def test_an_image_without_boxes_has_a_loss(detector: torch.nn.Module) -> None:
    loss = detection_loss(detector, torch.randn(1, 3, *FRAME), [torch.zeros(0, 5)])  # type: ignore[arg-type]
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss) and loss > 0


def test_ignored_pixels_do_not_count() -> None:
    logits = torch.randn(1, 4, 6, 8)
    labels = torch.randint(0, 4, (1, 6, 8))
    ignored = labels.clone()
    ignored[:, :3] = 255
    of_half = segmentation_loss(logits[:, :, 3:], labels[:, 3:])
    assert torch.allclose(segmentation_loss(logits, ignored), of_half)
    right = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2).float() * 20
    assert segmentation_loss(right, labels) < 1e-3 < segmentation_loss(-right, labels)


def test_keypoints_of_no_weight_do_not_count() -> None:
    found, wanted = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    weight = torch.tensor([[1.0, 0, 1], [0, 1, 1]])
    moved = found.clone()
    moved[0, 1] += 5
    moved[1, 0] -= 5
    assert torch.allclose(pose_loss(found, wanted, weight), pose_loss(moved, wanted, weight))
    assert pose_loss(wanted, wanted, weight) == 0
