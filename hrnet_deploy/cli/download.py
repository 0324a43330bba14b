"""download: the command that brings a published checkpoint here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hrnet_deploy.cli import options
from hrnet_deploy.cli.app import PREPARE, command
from hrnet_deploy.cli.output import check_outputs, finish


@command(rich_help_panel=PREPARE)
def download(
    name: Annotated[str, typer.Argument(help="A name that `hrnet-deploy models --checkpoints` lists.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The folder for the file. Default: the cache, which is checkpoints/ in HRNET_DEPLOY_CACHE, or "
            "hrnet-deploy/checkpoints/ in XDG_CACHE_HOME (~/.cache).",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Take the file from this folder, in place of the network."),
    ] = None,
    report: options.Report = None,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Download a published checkpoint and verify it.

    The file is compared with the sha256 that its publisher states. A download
    that broke off is continued by the next call. Other commands take the same
    names in place of a checkpoint, and download what is not there yet. Proxies
    are taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

    Example: hrnet-deploy download pose_hrnet_w32_256x192
    """
    from hrnet_deploy.cli.progress import shown
    from hrnet_deploy.jobs.download import DownloadRequest
    from hrnet_deploy.jobs.download import download as job

    check_outputs(force, report)
    with shown() as progress:
        result = job(DownloadRequest(name, output, source), progress)
    finish(result, json, report)
