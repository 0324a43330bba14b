"""The sample images of this package, for checks without images from the user."""

from __future__ import annotations

from hrnet_deploy.cards import folder
from hrnet_deploy.tasks.dataset import Dataset, load_dataset

NAME = "the package's own sample images"


def sample_images() -> Dataset:
    """Drawn people with their boxes, from models/demo. They are too few for a score, so their other
    annotations are left out."""
    return load_dataset(folder() / "demo" / "images").unjudged()
