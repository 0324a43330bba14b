"""Exports a PyTorch network to an ONNX graph with a description: traced, simplified and, on request, with decoding."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.progress import SILENT, Progress
from hrnet_deploy.tasks.base import InputFormat, embedding_of, noise
from hrnet_deploy.tasks.registry import task_entry
from hrnet_deploy.workflow.arguments import require_count

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from hrnet_deploy.graph.metadata import Description

Exporter = Literal["dynamo", "torchscript"]
# the opsets that each of torch's exporters writes; dynamo's own operators begin with 18
OLDEST: dict[Exporter, int] = {"dynamo": 18, "torchscript": 11}
NEWEST: dict[Exporter, int] = {"dynamo": 23, "torchscript": 20}


@dataclass(frozen=True)
class ExportOptions:
    """How a network is exported.

    Attributes:
        size: height and width of the input; None for those of the card.
        batch: the fixed batch.
        dynamic: axes whose size stays open, among "batch", "height" and "width".
        opset: the ONNX opset; None for the default of `graph.export`.
        exporter: "dynamo" or "torchscript"; None for dynamo, or torchscript where dynamo cannot write the opset.
        simplify: whether to run onnxsim.
        embed: whether preprocessing and decoding become part of the graph.
        flip_test: whether an embedded graph averages with the result of the mirrored image.
        align_corners: how a segmentation network upsamples; None for what the checkpoint or the card states.
        decode, geometry: how heatmaps of a pose network are decoded, and how boxes become crops; empty for what the
            checkpoint or the card states.
    """

    size: tuple[int, int] | None = None
    batch: int = 1
    dynamic: Collection[str] = ()
    opset: int | None = None
    exporter: Exporter | None = None
    simplify: bool = True
    embed: bool = False
    flip_test: bool = False
    align_corners: bool | None = None
    decode: str = ""
    geometry: str = ""

    def __post_init__(self) -> None:
        require_count("--batch", self.batch)
        if self.opset is not None:
            _require_opset(self.opset, self.exporter)
        if self.dynamic:
            from hrnet_deploy.graph.export import AXES

            if unknown := set(self.dynamic) - set(AXES):
                raise BadInput(f"cannot make {', '.join(sorted(unknown))} dynamic — choose among {', '.join(AXES)}")
        if self.flip_test and not self.embed:
            raise BadInput(
                "--flip-test needs --embed here — for a plain export, pass --flip-test to `predict` and `check`"
            )
        if self.embed and self.dynamic:
            raise BadInput("--embed needs static shapes — leave --dynamic out and fix the batch with --batch")

    @property
    def chosen_exporter(self) -> Exporter:
        """The exporter that writes the graph."""
        return self.exporter or ("torchscript" if self._is_old else "dynamo")

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was chosen because of another option."""
        if self.exporter is not None or not self._is_old:
            return ()
        return (
            f"opset {self.opset} was exported with torch's torchscript exporter, because the dynamo exporter writes "
            f"opset {OLDEST['dynamo']} and newer",
        )

    @property
    def _is_old(self) -> bool:
        return self.opset is not None and self.opset < OLDEST["dynamo"]


def _require_opset(opset: int, exporter: Exporter | None) -> None:
    """Raises BadInput for an opset that the exporter, or without one any exporter, cannot write."""
    least, most = OLDEST[exporter or "torchscript"], NEWEST[exporter or "dynamo"]
    if not least <= opset <= most:
        who = f"the {exporter} exporter writes" if exporter else "the exporters of torch write"
        cure = "leave --exporter out" if min(OLDEST.values()) <= opset <= max(NEWEST.values()) else "choose one of them"
        raise BadInput(f"--opset {opset} cannot be exported: {who} opset {least} to {most} — {cure}")


def export_network(
    network: nn.Module,
    chosen: ModelCard,
    options: ExportOptions,
    provenance: dict[str, str],
    progress: Progress = SILENT,
) -> tuple[onnx.ModelProto, Description]:
    """Export a network to an ONNX graph that contains its description. The graph is not verified yet.

    Args:
        network: the module, with its weights.
        chosen: its card, with the input size of the export.
        options: how to export it.
        provenance: digests of the files that the network was made from, by name.
        progress: is notified of each stage.

    Raises:
        BadInput: the options do not fit the network.
        Unavailable: torch is not installed.
    """
    from hrnet_deploy.graph.embed import embed
    from hrnet_deploy.graph.export import OPSET, export_graph
    from hrnet_deploy.graph.metadata import Description, describe
    from hrnet_deploy.graph.simplify import simplify

    torch = need("torch", "export")
    if options.opset is not None and options.opset < chosen.architecture.oldest_opset:
        raise BadInput(
            f"{chosen.architecture.title} needs opset {chosen.architecture.oldest_opset} or newer, because "
            f"{chosen.architecture.opset_reason} — leave --opset out"
        )
    if options.embed:
        embedding_of(chosen)  # refuses a task without one before the work starts
        if options.flip_test:
            task_entry(chosen.task).require("--flip-test", chosen.name)
    batch = options.batch * 2 if options.flip_test else options.batch
    exporter = options.chosen_exporter
    progress.stage(f"exporting with torch's {exporter} exporter")
    opset = options.opset or OPSET
    model = export_graph(network, chosen, batch, options.dynamic, opset, exporter)
    facts = {
        "exporter": exporter,
        "torch": torch.__version__.partition("+")[0],
        "opset": opset,
        "batch": "dynamic" if "batch" in options.dynamic else options.batch,
        "dynamic": sorted(options.dynamic),
    }
    description = Description(chosen, InputFormat(), "fp32", provenance).with_step("export", **facts)
    if options.simplify:
        progress.stage("simplifying the graph")
        rows = 2 if "batch" in options.dynamic else batch
        model, done = simplify(model, noise(chosen, rows, seed=0))
        description = description.with_step("simplify", **done)
    if options.embed:
        progress.stage("embedding preprocessing and decoding")
        model = embed(model, chosen, options.flip_test)
        input_format = InputFormat(embedded=True, flip_test=options.flip_test)
        description = dataclasses.replace(description, input_format=input_format).with_step(
            "embed", flip_test=options.flip_test
        )
    describe(model, description)
    return model, description
