"""What a result depends on, as text that can be compared: images, this package and the machine."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from hrnet_deploy.bench.environment import environment, versions
from hrnet_deploy.cards import cards
from hrnet_deploy.files import sha256
from hrnet_deploy.tasks.dataset import Dataset
from hrnet_deploy.version import __version__


def digest_of(values: Any) -> str:
    """sha256 of plain JSON values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def images_digest(dataset: Dataset) -> str:
    """sha256 over the image files and everything that is known about them: boxes, annotations, label maps."""
    labels = [sha256(item.labels) if item.labels else "" for item in dataset.items]
    return digest_of([dataset.digest, labels, dataset.truth, dataset.boxes_from, dataset.facts])


@functools.cache
def package_identity() -> str:
    """The version of this package with a digest of its source, so that a change of a checkout changes this text too."""
    folder = Path(__file__).parents[1]
    files = sorted(folder.rglob("*.py"))
    source = digest_of([[str(f.relative_to(folder)), sha256(f)] for f in files])
    known = digest_of([c.to_dict() for c in cards().values()])
    return f"{__version__} (source {source[:12]}, cards {known[:12]})"


@functools.cache
def software() -> str:
    """Versions of this package, of Python and of every library that computes."""
    libraries = {name: version for name, version in versions().items() if name != "hrnet-deploy"}
    return json.dumps({"hrnet-deploy": package_identity(), **libraries}, sort_keys=True)


@functools.cache
def hardware() -> str:
    """The processor and the GPU that figures depend on, and the cores that this process may use."""
    found = environment()
    cpu = found.cpu
    return json.dumps(
        {
            "cpu": cpu.model,
            "features": list(cpu.features),
            "threads": cpu.threads_available,
            "cores": cpu.affinity,
            "gpu": ", ".join(found.gpu.split(", ")[:2]),  # name and driver; clocks and power change all the time
            "variables": dict(found.variables),
        },
        sort_keys=True,
    )
