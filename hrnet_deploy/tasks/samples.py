"""The sample images of this package, for checks without images from the user."""

from __future__ import annotations

from dataclasses import replace

from hrnet_deploy.cards import folder
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.tasks.loading import load_dataset

NAME = "the package's own sample images"


def sample_images() -> Dataset:
    """Drawn people with their boxes, from models/demo. They are too few for a score, so their other
    annotations are left out. For networks of more than three channels, the others are made up."""
    found = load_dataset(folder() / "demo" / "images").unjudged()
    return replace(found, items=tuple(replace(i, filled=True) for i in found.items))
