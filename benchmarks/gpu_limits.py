"""What a GPU (or, for a trial, a CPU) can do at most, and what a network asks of it.

The limits are measured in the same run as the networks: the rate of a plain matrix product by precision, and the rate
at which memory is copied. The work of a network is counted on its PyTorch modules, without computing anything.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any

from hrnet_deploy.cards import ModelCard

RUNS = 8
COPIED = 1 << 30  # bytes of one copy
SIDE = 8192  # of the matrices


def median_seconds(call: Callable[[], Any], device: str) -> float:
    """The median time of a call, without the first two."""
    import torch

    times = []
    for _ in range(RUNS):
        begin = time.perf_counter()
        call()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return statistics.median(times[2:])


def matrix_rates(device: str, side: int = SIDE) -> dict[str, float]:
    """Multiply-accumulates per second (in 1e12) of a plain product of square matrices, by precision.

    A precision whose product the device does not have is left out.
    """
    import torch

    kinds = {"fp16": torch.float16, "bf16": torch.bfloat16, "tf32": torch.float32, "fp32": torch.float32}
    rates = {}
    for name, kind in kinds.items():
        if device == "cpu" and name in ("tf32", "fp16"):
            continue
        torch.backends.cuda.matmul.allow_tf32 = name == "tf32"
        a, b = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
        rates[name] = side**3 / median_seconds(lambda a=a, b=b: torch.mm(a, b), device) / 1e12  # type: ignore[misc]
    torch.backends.cuda.matmul.allow_tf32 = False
    c, d = (torch.randint(-127, 128, (side, side), device=device, dtype=torch.int8) for _ in range(2))
    with contextlib.suppress(RuntimeError):  # some builds have no integer product for the device
        rates["int8"] = side**3 / median_seconds(lambda: torch._int_mm(c, d.t()), device) / 1e12
    return rates


def copy_rate(device: str, size: int = COPIED) -> float:
    """Bytes per second that a copy within the device's memory reads and writes together."""
    import torch

    given, taken = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * size / median_seconds(lambda: taken.copy_(given), device)


def work_of(card: ModelCard) -> dict[str, float]:
    """The work of one inference of batch 1.

    `macs` are the multiply-accumulates of all convolutions and fully connected layers, and `numbers` is how many
    numbers they read and write at least: each input, output and weight once. Shapes decide the work of a network of
    one input, so nothing is computed. A detector is run on noise, because its proposals depend on values.
    """
    import torch
    from torch import nn

    from hrnet_deploy.architecture import INPUT
    from hrnet_deploy.networks import build_network, random_weights
    from hrnet_deploy.tasks.base import noise

    network = build_network(card.architecture)
    if card.architecture.inputs == (INPUT,):
        shape = (1, card.architecture.image_channels, card.input.height, card.input.width)
        network, feeds = network.to("meta"), [torch.empty(shape, device="meta")]
    else:
        random_weights(network)
        feeds = [torch.from_numpy(array) for array in noise(card, 1, 0).values()]
    found = {"macs": 0.0, "numbers": 0.0}

    def count(module: nn.Module, given: tuple[Any, ...], taken: Any) -> None:
        weight = module.weight
        per_place = weight.numel() // (1 if isinstance(module, nn.Conv2d) else weight.shape[0])
        turned = isinstance(module, nn.ConvTranspose2d)  # its weights are (inputs, outputs, ...) and used per input
        places = given[0].numel() if turned else taken.shape[2:].numel() * taken.shape[0]
        if isinstance(module, nn.Linear):
            places = taken.numel()
        found["macs"] += float(places * per_place)
        found["numbers"] += float(given[0].numel() + taken.numel() + weight.numel())

    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(*feeds)
    return found
