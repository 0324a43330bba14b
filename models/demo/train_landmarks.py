"""Train the demo landmark network on drawn faces: `python models/demo/train_landmarks.py`.

It draws its faces once, into the folder --work, and trains a small HRNetV2 with augmented crops of them. It measures
the statistics of all batch norms, trains on with these fixed ("settling", see `training`), scores the normalised mean
error (NME) on unseen images, and writes the checkpoint and its figures. The run is seeded, and an interrupted run
continues where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from crops import Crops, Drawn, loss
from drawn.portrait import portrait
from training import Phase, Run, finish, fit, options

from hrnet_deploy.cards import card
from hrnet_deploy.networks import build_network

VALIDATION_SEED = 10_000  # must not be used for training


def draw(seed: int, index: int) -> Drawn:
    """The faces of an image, see `Crops`."""
    drawn = portrait(seed, index)
    return drawn.image, drawn.annotations


def main() -> None:
    output = Path(__file__).with_name("face_hrnetv2_w8.safetensors")
    defaults = {"faces": 8_000, "steps": 1_600, "settle": 150, "batch": 32}
    args = options(__doc__ or "", output, Path("build/demo-landmarks"), **defaults)
    crops = Crops(card("face_hrnetv2_w8_demo_96x96"), draw)
    drawn = crops.drawn(args.work, args.faces, args.seed)
    run = Run(
        args.work,
        lambda first, last: crops.batches(*drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"NME {crops.score(net, VALIDATION_SEED, 100)['NME']:.4f} on 100 images",
        args.batch,
        args.save_every,
    )
    net = fit(build_network(crops.card.architecture), Phase("train", 0, args.steps, lr=2e-3), run)
    settling = Phase("settle", args.steps, args.steps + args.settle, lr=5e-4, settle=True)
    finish(
        net,
        run,
        settling,
        lambda n, batch: n(batch[0]),
        lambda n: crops.score(n, VALIDATION_SEED, args.images, detail=True),
        args,
    )


if __name__ == "__main__":
    main()
