"""Train the demo parsing network, body parts of drawn people: `python models/demo/train_parsing.py`.

Seeded; interrupted runs go on where they were. Draws its scenes once (into --work), trains a small HRNetV2 on augmented
views of them, first with rare parts weighted up, so that they are found at all, then with every pixel counting alike, as
in the metric; with --begin from weights of an earlier network instead of random ones, as far as they fit. Measures the
statistics of every batch norm, settles the network with those fixed (see `training`), scores mIoU on images it has never
seen, and writes the checkpoint with its figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from drawn import scene
from drawn.person import PARTS
from rich.progress import track
from safetensors.torch import load_file
from scenes import IGNORED, Scenes, View, ahead, fill_of, network_input, scenes
from torch import Tensor, nn
from training import Phase, Run, Spread, console, fit, measure_batch_statistics, save

from hrnet_deploy.cards import card
from hrnet_deploy.networks import build
from hrnet_deploy.networks.losses import segmentation_loss
from hrnet_deploy.tasks.base import task_of
from hrnet_deploy.tasks.confusion import counts_of, figures_of
from hrnet_deploy.tasks.dataset import Item

CARD = card("seg_hrnetv2_w16_demo_256x256")
TASK = task_of(CARD)
FRAME = (CARD.input.width, CARD.input.height)
FILL = fill_of(CARD.input)
VALIDATION_SEED = 10_000  # never a training seed
# background is most of every image and a shoe next to nothing of it
WEIGHTS = torch.tensor([0.5 if p == "background" else 2.0 if "shoe" in p else 1.0 for p in PARTS])

Batch = tuple[Tensor, Tensor]  # input, label of each pixel


def batches(drawn: Scenes, size: int, seed: int, first: int, last: int) -> Iterator[Batch]:
    def batch(step: int) -> Batch:
        rng = np.random.default_rng([seed, 1, step])
        chosen = rng.integers(0, len(drawn.sizes), size)
        views = [View.drawn(rng, drawn.sizes[i], FRAME, stretch=True) for i in chosen]
        images = np.stack([v.image(drawn.images[i], FILL) for v, i in zip(views, chosen, strict=True)])
        labels = np.stack([v.parts(drawn.parts[i]) for v, i in zip(views, chosen, strict=True)])
        return network_input(images, CARD.input, rng), torch.from_numpy(labels.astype(np.int64))

    return ahead(batch, first, last)


def loss(net: nn.Module, batch: Batch, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of every pixel of the input."""
    x, labels = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x)
    return segmentation_loss(logits.float(), labels, weight)


def score(net: nn.Module, images: int, detail: bool = False) -> dict[str, float]:
    """mIoU at the size of the images, on generated ones nobody trained on; with `detail` the spread of activations too."""
    net.eval()
    spread = Spread(net) if detail else None
    counts = np.zeros((3, len(PARTS)), np.int64)
    for index in track(range(images), "scoring", console=console):
        drawn = scene(VALIDATION_SEED, index)
        (sample,) = TASK.samples(drawn.image, Item(Path(), index))
        with torch.inference_mode():
            outputs = [{"logits": net(torch.from_numpy(sample.feed["image"])).numpy()}]
        (found,) = TASK.decode(outputs, [sample])
        counts += counts_of(drawn.parts, found.labels, len(PARTS), IGNORED)
    figures = figures_of(counts)
    right, there, said = counts
    figures |= {f"IoU {name}": float(v) for name, v in zip(PARTS, right / (there + said - right), strict=True)}
    if spread is not None:
        figures["spread"] = spread.close()
    return figures


def begin(net: nn.Module, weights: Path) -> None:
    """What has the same name and shape is taken; the last layer of other classes is not."""
    own = net.state_dict()
    found = {n: t.float() for n, t in load_file(weights).items() if n in own and own[n].shape == t.shape}
    console.print(f"{len(found)} of {len(own)} tensors begin as those of {weights.name}")
    net.load_state_dict({**own, **found})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_name("seg_hrnetv2_w16.safetensors"))
    parser.add_argument("--work", type=Path, default=Path("build/demo-scenes"), help="scenes and the state of the run")
    parser.add_argument("--scenes", type=int, default=9_000)
    parser.add_argument("--steps", type=int, default=4_000, help="steps with rare parts weighted up")
    parser.add_argument("--even", type=int, default=1_600, help="steps with every pixel counting alike")
    parser.add_argument("--begin", type=Path, help="weights of another network to begin from, as far as they fit (.safetensors)")
    parser.add_argument("--settle", type=int, default=0, help="steps with fixed batch statistics; its activations are steady without")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--images", type=int, default=300, help="unseen images to score on")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    drawn = scenes(args.work, args.scenes, args.seed)
    run = Run(
        args.work,
        lambda first, last: batches(drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"mIoU {score(net, 60)['mIoU']:.3f} on 60 images",
        args.batch,
        args.save_every,
    )
    weighted = dataclasses.replace(run, loss=functools.partial(loss, weight=WEIGHTS))
    net = build(CARD.architecture)
    if args.begin is not None:
        begin(net, args.begin)
    net = fit(net, Phase("parsing", 0, args.steps, lr=2e-3), weighted)
    trained = args.steps + args.even
    net = fit(net, Phase("parsing-even", args.steps, trained, lr=1.2e-3), run)
    end = trained + args.settle
    measure_batch_statistics(net, lambda n, batch: n(batch[0]), run.batches(end, end + 128), 128)
    console.print_json(json.dumps({"before settling": score(net, args.images, detail=True)}))
    net = fit(net, Phase("parsing-settle", trained, end, lr=5e-4, settle=True), run)
    save(net, args.output)
    figures = score(net, args.images, detail=True)
    console.print_json(json.dumps(figures))
    facts = {
        "images": args.images,
        "began as": args.begin.name if args.begin else "random weights",
        "steps": trained,
        "settle": args.settle,
        "scenes": args.scenes,
        "seed": args.seed,
    }
    args.output.with_suffix(".json").write_text(json.dumps({**facts, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
