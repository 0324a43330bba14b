"""Compares what a network's first batch norms get with what they got in training.

A batch norm keeps the mean and the variance of its input over the training images. Images that a wrong card prepares
arrive with another mean and variance, which no comparison of two engines can see, because both get the same input.
The thresholds are measured: see docs/decisions/40-activations-of-the-first-layers.md.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.image_input import Input
from hrnet_deploy.results.export import ActivationFit
from hrnet_deploy.tasks.base import Feed, dataset_samples, task_of
from hrnet_deploy.tasks.dataset import Dataset

if TYPE_CHECKING:
    from torch import Tensor, nn

SAMPLES = 8  # inputs that are looked at
SURE = 20.0  # a divergence over this is a fault of the card, whatever the images show
SUSPECT = 0.75  # a divergence over this is one where another preparation fits better by BETTER
BETTER = 4.0
# running statistics that initialisation or random weights leave: means around 0, variances around 1
FRESH_MEAN, FRESH_VARIANCE = 0.25, (0.7, 1.3)
IMAGENET = Input(1, 1)


class _Seen(Exception):
    """Ends a forward pass once the first batch norm has got its input."""


def activation_fit(network: nn.Module, card: ModelCard, dataset: Dataset, images: str) -> ActivationFit:
    """How well the images, prepared as the card says, fit the first batch norm of the network.

    Args:
        network: with its weights, in evaluation mode.
        card: says how images are prepared.
        dataset: the images.
        images: what they are called in the result.
    """
    found = _observed(network, card, dataset)
    if found is None:
        return ActivationFit("unknown", images, reason="the network has no batch norm")
    layer, module, mean, variance = found
    known_mean, known_variance = (
        np.asarray(t, np.float64)
        for t in (module.running_mean, module.running_var)  # type: ignore[arg-type]
    )
    low, high = FRESH_VARIANCE
    if np.abs(known_mean).max() < FRESH_MEAN and known_variance.min() > low and known_variance.max() < high:
        reason = f"the statistics of its first batch norm ({layer}) are those of weights that were not trained"
        return ActivationFit("unknown", images, layer, reason=reason)
    divergence = _divergence(mean, variance, known_mean, known_variance)
    times = float(np.median(np.sqrt(variance / known_variance)))
    fit = ActivationFit("fits", images, layer, divergence, times)
    if divergence <= SUSPECT:
        return fit
    cause, best = "", divergence
    for words, spec in _alternatives(card.input):
        other = _observed(network, dataclasses.replace(card, input=spec), dataset)
        assert other is not None  # it is the same network
        if (value := _divergence(*other[2:], known_mean, known_variance)) < best:
            cause, best = words, value
    explained = best * BETTER < divergence
    if divergence <= SURE and not explained:
        return fit
    return dataclasses.replace(
        fit, verdict="differs", cause=cause if explained else "", divergence_of_cause=best if explained else None
    )


def _alternatives(spec: Input) -> Iterator[tuple[str, Input]]:
    """Other ways to prepare images that are common, with the words for what the card should say then."""
    channels = len(spec.mean)
    ways = {
        "without a normalisation, of values from 0 to 1 (mean: [0, 0, 0], std: [1, 1, 1])": (0.0, 1.0),
        "without a normalisation, of values from 0 to 255 (mean: [0, 0, 0], std: [0.003922, 0.003922, 0.003922])": (
            0.0,
            1 / 255,
        ),
        "of values from -1 to 1 (mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5])": (0.5, 0.5),
    }
    if channels == len(IMAGENET.mean):
        if spec.colour == "RGB":
            yield "with the colours in the order BGR (colour: BGR)", dataclasses.replace(spec, colour="BGR")
        else:
            yield "with the colours in the order RGB (colour: RGB)", dataclasses.replace(spec, colour="RGB")
        yield (
            "with the mean and the std of ImageNet (leave mean and std out of the card)",
            dataclasses.replace(spec, mean=IMAGENET.mean, std=IMAGENET.std),
        )
        yield (
            "with the mean of ImageNet and not divided by a std (mean: [103.53, 116.28, 123.675], std: [1, 1, 1], "
            "colour: BGR)",
            dataclasses.replace(spec, mean=IMAGENET.mean[::-1], std=(1 / 255,) * channels, colour="BGR"),
        )
    for words, (mean, std) in ways.items():
        yield words, dataclasses.replace(spec, mean=(mean,) * channels, std=(std,) * channels)


def _observed(
    network: nn.Module, card: ModelCard, dataset: Dataset
) -> tuple[str, nn.Module, NDArray[np.float64], NDArray[np.float64]] | None:
    """The name of the first batch norm that is used, the module, and the mean and variance of each channel of its
    input over the images; None where there is no batch norm."""
    import torch

    names: dict[nn.Module, str] = {
        m: n for n, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d) and m.track_running_stats
    }
    inputs: list[Tensor] = []
    used: list[nn.Module] = []

    def look(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        used.append(module)
        inputs.append(arguments[0])
        raise _Seen

    handles = [m.register_forward_pre_hook(look) for m in names]
    means, squares = [], []
    try:
        for feed in itertools.islice(_feeds(card, dataset), SAMPLES):
            inputs.clear()
            try:
                with torch.inference_mode():
                    network(*(torch.from_numpy(feed[name]) for name in card.architecture.inputs))
            except _Seen:
                variance, mean = torch.var_mean(inputs[0], dim=(0, 2, 3), correction=0)
                means.append(mean.double().numpy())
                squares.append(variance.double().numpy() + means[-1] ** 2)
    finally:
        for handle in handles:
            handle.remove()
    if not means:
        return None
    overall = np.mean(means, axis=0)
    return names[used[0]], used[0], overall, np.maximum(np.mean(squares, axis=0) - overall**2, 1e-12)


def _feeds(card: ModelCard, dataset: Dataset) -> Iterable[Feed]:
    return (sample.feed for _, _, samples in dataset_samples(task_of(card), dataset) for sample in samples)


def _divergence(
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    known_mean: NDArray[np.float64],
    known_variance: NDArray[np.float64],
) -> float:
    """The Kullback-Leibler divergence of two normal distributions, in nats, of the median channel."""
    known = known_variance + 1e-12
    return float(np.median(0.5 * ((variance + (mean - known_mean) ** 2) / known - 1 - np.log(variance / known))))
