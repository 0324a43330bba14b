"""A plan file and its manifest: what it was built of, for what, and with which settings.

A plan fits one GPU and one version of TensorRT. The manifest beside it says which, so that one that does not fit is
refused before TensorRT sees it, with the command that builds it again. The ONNX file is what to keep; a plan is a cache.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.files import atomic_write, read_json, sha256, write_json

SUFFIXES = (".plan", ".engine", ".trt")
SCHEMA = 1
Range = tuple[int, int, int]  # least, tuned for, most
SizeRange = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class BuildOptions:
    """How a plan is built. batch and size bound the open axes of the file (least, tuned for, most); workspace in bytes;
    level 0 (fast to build) to 5 (tries most); aux_streams None for TensorRT's own choice, 0 for one stream."""

    batch: Range | None = None
    size: SizeRange | None = None
    workspace: int | None = None
    level: int = 3
    aux_streams: int | None = None
    tf32: bool = False

    def arguments(self) -> list[str]:
        """The options of `hrnet-deploy build` that say the same."""
        said: list[str] = []
        if self.batch:
            said += ["--batch", ":".join(map(str, self.batch))]
        if self.size:
            said += ["--size", ":".join(f"{h}x{w}" for h, w in self.size)]
        if self.workspace is not None:
            said += ["--workspace", str(self.workspace // 2**20)]
        if self.level != BuildOptions.level:
            said += ["--level", str(self.level)]
        if self.aux_streams is not None:
            said += ["--aux-streams", str(self.aux_streams)]
        return said + ["--tf32"] * self.tf32


@dataclass(frozen=True)
class Manifest:
    """What a plan is. onnx: the file it was made of, by name and sha256; plan: sha256 of the plan's own bytes; identity:
    GPU, compute capability and driver; description: what the ONNX file says of itself; layers: what became of it."""

    onnx: Mapping[str, str]
    plan: str
    tensorrt: str
    identity: Mapping[str, str]
    options: Mapping[str, Any]
    profiles: Mapping[str, list[list[int]]]
    description: Mapping[str, Any]
    build_seconds: float
    warning: str = ""  # what its channel counts cost in int8, where that is much
    layers: Mapping[str, Any] = field(default_factory=dict)

    def rebuild(self, plan: Path) -> str:
        """The command that builds the plan again."""
        return shlex.join(
            [
                "hrnet-deploy",
                "build",
                self.onnx["name"],
                "-o",
                str(plan),
                "--force",
                *options_of(self.options).arguments(),
            ]
        )


def options_of(values: Mapping[str, Any]) -> BuildOptions:
    """What `dataclasses.asdict` made of options, after a way through JSON."""
    size = values["size"] and tuple(tuple(s) for s in values["size"])
    return BuildOptions(**{**values, "batch": values["batch"] and tuple(values["batch"]), "size": size})


def manifest_path(plan: Path) -> Path:
    return plan.with_name(f"{plan.name}.json")


def is_plan(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def write_plan(path: Path, plan: bytes, manifest: Manifest) -> None:
    """Both files, each whole; the manifest last, as a plan without one is refused."""
    with atomic_write(path) as part:
        part.write_bytes(plan)
    write_json(manifest_path(path), {"schema": SCHEMA, "kind": "plan", **dataclasses.asdict(manifest)})


def read_manifest(plan: Path) -> Manifest:
    """What the file beside a plan says. Raises BadInput where there is none or it is another's."""
    path = manifest_path(plan)
    if not path.exists():
        raise BadInput(
            f"{plan} has no manifest beside it ({path.name}) — build it with: hrnet-deploy build MODEL.onnx -o {plan.name}"
        )
    values = read_json(path, "the manifest of a plan")
    try:
        if values["kind"] != "plan" or values["schema"] != SCHEMA:
            raise BadInput(f"{path} is not the manifest of a plan this version reads — build the plan again")
        found = Manifest(**{f.name: values[f.name] for f in dataclasses.fields(Manifest)})
        options_of(found.options)
        return found
    except (KeyError, TypeError) as error:
        raise BadInput(f"{path} is not the manifest of a plan ({error!r}) — build the plan again") from error


def require_fit(plan: Path, found: Manifest, tensorrt: str, identity: Mapping[str, str]) -> None:
    """Refuse a plan whose bytes are not those of the manifest, or that was built for another GPU or version."""
    if sha256(plan) != found.plan:
        raise BadInput(f"{plan} is not the plan its manifest tells of — build it again with: {found.rebuild(plan)}")
    differs = [] if found.tensorrt == tensorrt else [f"TensorRT {found.tensorrt}, here is {tensorrt}"]
    for name in ("gpu", "compute_capability"):
        if found.identity.get(name) != identity[name]:
            differs.append(f"{name.replace('_', ' ')} {found.identity.get(name)}, here is {identity[name]}")
    if differs:
        raise Unavailable(
            f"{plan} was built for {' and for '.join(differs)} — build it again with: {found.rebuild(plan)}"
        )
