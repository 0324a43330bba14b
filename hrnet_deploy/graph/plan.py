"""A TensorRT plan and its manifest: what the plan was built from, for what, and with which settings.

A plan of TensorRT fits one GPU and one version of TensorRT; a plan of TensorRT for RTX fits every GPU of the compute
capabilities that it was built for. The manifest next to it says which. So a plan that does not fit is
refused before TensorRT opens it, and the error gives the command that builds it again. Keep the ONNX file: a plan can
always be built from it again.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hrnet_deploy.errors import BadInput, Unavailable
from hrnet_deploy.fields import made
from hrnet_deploy.files import atomic_write, read_json, sha256, write_json

SUFFIXES = (".plan", ".engine", ".trt")
SCHEMA = 1
Range = tuple[int, int, int]  # least, tuned for, most
SizeRange = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class BuildOptions:
    """How a plan is built.

    Attributes:
        batch, size: bounds of the open axes of the file: the smallest, the one to tune for, the largest. A size is
            height and width.
        workspace: the most memory that a kernel may take, in bytes; None for TensorRT's choice.
        level: optimization level of the builder, from 0 (fast to build) to 5 (tries most).
        aux_streams: streams in addition to the first; None for TensorRT's choice.
        tf32: whether float32 may be computed in TF32.
        gpus: the GPUs that a plan of TensorRT for RTX is for, such as "sm89"; empty for all that it supports.
    """

    batch: Range | None = None
    size: SizeRange | None = None
    workspace: int | None = None
    level: int = 3
    aux_streams: int | None = None
    tf32: bool = False
    gpus: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """The same as options of `hrnet-deploy build`."""
        words: list[str] = []
        if self.batch:
            words += ["--batch", ":".join(map(str, self.batch))]
        if self.size:
            words += ["--size", ":".join(f"{h}x{w}" for h, w in self.size)]
        if self.workspace is not None:
            words += ["--workspace", str(self.workspace // 2**20)]
        if self.level != BuildOptions.level:
            words += ["--level", str(self.level)]
        if self.aux_streams is not None:
            words += ["--aux-streams", str(self.aux_streams)]
        if self.gpus:
            words += ["--gpu", ",".join(self.gpus)]
        return words + ["--tf32"] * self.tf32


@dataclass(frozen=True)
class Manifest:
    """What a plan is.

    Attributes:
        onnx: the file that it was built from, by "name" and "sha256".
        plan: sha256 of the plan's own bytes.
        tensorrt: version of the library.
        identity: GPU, compute capability and driver; or the compute capabilities that the plan is for.
        options: of the build.
        profiles: bounds of the open inputs: least, tuned for and most, each a shape.
        description: that of the ONNX file.
        warning: about channel counts that make the graph slow in int8; empty if they do not.
        layers: number of layers by precision, or by kind of kernel.
        engine: the engine that opens the plan.
        compiled: what the compiler made of the graph, as `results.compiled.CompiledGraph`; empty if it is not known.
    """

    onnx: Mapping[str, str]
    plan: str
    tensorrt: str
    identity: Mapping[str, str]
    options: Mapping[str, Any]
    profiles: Mapping[str, list[list[int]]]
    description: Mapping[str, Any]
    build_seconds: float
    warning: str = ""
    layers: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "trt"
    compiled: Mapping[str, Any] = field(default_factory=dict)

    def rebuild(self, plan: Path) -> str:
        """The command that builds the plan again."""
        return shlex.join(
            [
                "hrnet-deploy",
                "build",
                self.onnx["name"],
                *(["--engine", self.engine] if self.engine != Manifest.engine else []),
                "-o",
                str(plan),
                "--force",
                *options_of(self.options).arguments(),
            ]
        )


def options_of(values: Mapping[str, Any]) -> BuildOptions:
    """Options from the values that `dataclasses.asdict` gave, after they were written as JSON and read again."""
    found: BuildOptions = made(BuildOptions, values, "options")
    return found


def manifest_path(plan: Path) -> Path:
    return plan.with_name(f"{plan.name}.json")


def is_plan(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def write_plan(path: Path, plan: bytes, manifest: Manifest) -> None:
    """Write the plan and its manifest. The manifest is last, because a plan without one is refused."""
    with atomic_write(path) as part:
        part.write_bytes(plan)
    write_json(manifest_path(path), {"schema": SCHEMA, "kind": "plan", **dataclasses.asdict(manifest)})


def read_manifest(plan: Path) -> Manifest:
    """Read the manifest next to a plan. Raises BadInput if there is none, or the file is something else."""
    path = manifest_path(plan)
    if not path.exists():
        raise BadInput(
            f"{plan} has no manifest next to it ({path.name}) — build it with: hrnet-deploy build MODEL.onnx "
            f"-o {plan.name}"
        )
    values = read_json(path, "the manifest of a plan")
    given = dict(values) if isinstance(values, Mapping) else {}
    if given.pop("kind", None) != "plan" or given.pop("schema", None) != SCHEMA:
        raise BadInput(f"{path} is not the manifest of a plan that this version reads — build the plan again")
    try:
        found: Manifest = made(Manifest, given, "")
        options_of(found.options)
        for name in ("name", "sha256"):
            made(str, found.onnx.get(name), f"onnx.{name}")
    except (BadInput, RecursionError) as error:
        raise BadInput(f"{path} is not the manifest of a plan: {error}, and build the plan again") from error
    return found


def require_fit(plan: Path, found: Manifest, engine: str, tensorrt: str, identity: Mapping[str, str]) -> None:
    """Check that a plan may be opened here, by an engine with this version of its library and on a GPU.

    Raises:
        BadInput: the plan is for another engine, or is not the one that the manifest describes.
        Unavailable: the plan was built for another GPU or another version of the library.
    """
    if found.engine != engine:
        raise BadInput(f"{plan} is a plan of the engine {found.engine}, not of {engine} — use --engine {found.engine}")
    if sha256(plan) != found.plan:
        raise BadInput(
            f"{plan} is not the plan that its manifest describes — build it again with: {found.rebuild(plan)}"
        )
    differs = [] if found.tensorrt == tensorrt else [f"TensorRT {found.tensorrt}, here is {tensorrt}"]
    differs += misfits(found, identity)
    if differs:
        raise Unavailable(
            f"{plan} was built for {' and for '.join(differs)} — build it again with: {found.rebuild(plan)}"
        )


def misfits(found: Manifest, identity: Mapping[str, str]) -> list[str]:
    """In what a GPU differs from those that a plan is for, as texts; empty if the plan is for it."""
    if targets := found.identity.get("compute_capabilities", ""):
        fits = identity["compute_capability"] in targets.split(", ")
        return [] if fits else [f"the compute capabilities {targets}, here is {identity['compute_capability']}"]
    names = [n for n in ("gpu", "compute_capability") if found.identity.get(n) != identity[n]]
    return [f"{n.replace('_', ' ')} {found.identity.get(n)}, here is {identity[n]}" for n in names]
