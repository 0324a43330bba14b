"""Train the demo pose network on drawn people: `python models/demo/train_pose.py`.

It draws its people once, into the folder --work, and trains a small HRNetV1 with augmented crops of them. It measures
the statistics of all batch norms, trains on with these fixed ("settling", see `training`), scores OKS-AP on unseen
images, and writes the checkpoint and its figures. The run is seeded, and an interrupted run continues where it stopped.
"""

from __future__ import annotations

from pathlib import Path

from crops import Crops, Drawn, loss
from drawn import scene
from training import Phase, Run, finish, fit, options

from hrnet_deploy.cards import card
from hrnet_deploy.networks import build_network

VALIDATION_SEED = 10_000  # must not be used for training


def draw(seed: int, index: int) -> Drawn:
    """The people of an image, see `Crops`."""
    drawn = scene(seed, index)
    return drawn.image, drawn.people


def main() -> None:
    output = Path(__file__).with_name("pose_hrnet_w16.safetensors")
    defaults = {"people": 50_000, "steps": 14_000, "settle": 3_000, "batch": 64, "save_every": 500, "images": 500}
    args = options(__doc__ or "", output, Path("build/demo-pose"), **defaults)
    crops = Crops(card("pose_hrnet_w16_demo_128x96"), draw)
    drawn = crops.drawn(args.work, args.people, args.seed)
    run = Run(
        args.work,
        lambda first, last: crops.batches(*drawn, args.batch, args.seed, first, last),
        loss,
        lambda net: f"AP {crops.score(net, VALIDATION_SEED, 100)['AP']:.3f} on 100 images",
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
