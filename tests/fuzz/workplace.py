"""What the readers need beside the file that is mutated: images with annotations, and tiny networks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import generate
import torch
from support.tiny import DETECTOR, FRAME, SEG_SIZE, SIZE, TINY, TINY_SEG

from hrnet_deploy.architecture import Architecture, DeepLabCut
from hrnet_deploy.networks import build_network, random_weights

NETWORKS: dict[str, tuple[Architecture, tuple[int, int]]] = {
    "pose": (TINY, SIZE),
    "segmentation": (TINY_SEG, SEG_SIZE),
    "detection": (DETECTOR, FRAME),
}


@dataclass(frozen=True)
class Workplace:
    """A folder in which each of these is made when it is first needed."""

    folder: Path

    @property
    def images(self) -> Path:
        """Three drawn images with annotations.json and labels/."""
        path = self.folder / "images"
        if not path.exists():
            generate.generate(path, range(3), seed=41)
        return path

    @property
    def annotations(self) -> Any:
        return json.loads((self.images / "annotations.json").read_text())

    def checkpoint(self, task: str) -> Path:
        path = self.folder / f"{task}.pth"
        if not path.exists():
            network = build_network(NETWORKS[task][0])
            random_weights(network, seed=4)
            torch.save(network.state_dict(), path)
        return path

    @property
    def snapshot(self) -> Path:
        """A snapshot of DeepLabCut with four keypoints."""
        path = self.folder / "snapshot.pt"
        if not path.exists():
            network = build_network(DeepLabCut(TINY.body, 4, True))
            random_weights(network, seed=1)
            state = network.state_dict().items()
            heads = ("heatmap_head", "locref_head")
            names = {f"{'heads.bodypart.' if k.startswith(heads) else 'backbone.model.'}{k}": v for k, v in state}
            torch.save({"model": names, "metadata": {"epoch": 3}}, path)
        return path

    def onnx(self, task: str) -> Path:
        """The ONNX file of the task's tiny network."""
        from hrnet_deploy.jobs.export import ExportOptions, ExportRequest, export

        path = self.folder / f"{task}.onnx"
        if not path.exists():
            done = export(ExportRequest(str(self.checkpoint(task)), path, ExportOptions(size=NETWORKS[task][1])))
            assert done.passed, done.checks
        return path
