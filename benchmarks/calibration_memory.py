"""Peak memory and time of calibrating a large network: `python benchmarks/calibration_memory.py --images 256`.

Random weights and random input. Run it with several numbers of images: the peak should stay where it is. The time of
an image is held against an inference of the same graph, which gives all those tensors, in turns.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from numpy.typing import NDArray

from hrnet_deploy.cards import card
from hrnet_deploy.engines import open_engine
from hrnet_deploy.engines.base import Source, run_rows
from hrnet_deploy.graph.calibrate import Feed, Statistics, calibrate, with_outputs
from hrnet_deploy.graph.metadata import save_model
from hrnet_deploy.graph.quantize import TARGETS, place
from hrnet_deploy.graph.ranges import METHODS, U8, ranges
from hrnet_deploy.networks import build_network, random_weights
from hrnet_deploy.tasks.base import noise
from hrnet_deploy.workflow.network_export import ExportOptions, export_network

TURN, TURNS = 8, 9  # images a turn, turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--card", default="pose_hrnet_w48_384x288")
    args = parser.parse_args()
    chosen = card(args.card)
    network = build_network(chosen.architecture)
    random_weights(network)
    model, _ = export_network(network, chosen, ExportOptions(), {})
    names = tuple(dict.fromkeys(n for t in TARGETS.values() for n in place(model, t).ranged))
    exporting = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tapped.onnx")
        save_model(with_outputs(model, names), path)
        engine = open_engine("ort", Source(chosen, path))

    def run(feed: Mapping[str, NDArray]) -> list[NDArray]:
        outputs = {**run_rows(engine, feed), **feed}
        return [outputs[n] for n in names]

    def feeds() -> Iterator[Feed]:
        for i in range(args.images):
            yield str(i), noise(chosen, 1, i)

    found = calibrate(Statistics.empty("", names), run, feeds)
    for method in METHODS:
        ranges(found, method, U8)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{args.images} images, {len(names)} tensors: peak {peak:.0f} MB ({exporting:.0f} MB after the export)")

    some = list(itertools.islice(feeds(), TURN))
    ratios = []
    for turn in range(TURNS):
        inference = statistics.mean(timed(lambda f=f: engine.run(f)) for _, f in some)
        each = timed(lambda: calibrate(Statistics.empty("", names), run, lambda: some)) / TURN
        ratios.append(each / inference)
        print(f"turn {turn + 1}: an inference {inference:.3f} s, an image {each:.3f} s, {ratios[-1]:.2f} times that")
    print(f"median {statistics.median(ratios):.2f}, best {min(ratios):.2f}")


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
