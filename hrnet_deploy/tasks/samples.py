"""The few images that come with this package, for checks where the user gives none."""

from __future__ import annotations

from hrnet_deploy.cards import folder
from hrnet_deploy.tasks.dataset import Dataset, load_dataset

NAME = "the package's own sample images"


def sample_images() -> Dataset:
    """Drawn people with their boxes, from models/demo. They are too few to score on, so they have no annotations to
    score against."""
    return load_dataset(folder() / "demo" / "images").unjudged()
