"""Two operators that PyTorch itself does not have: suppression of overlapping boxes, and pooling of regions from a
pyramid.

Both are custom operators (`torch.ops.hrnet_deploy`), so that an exporter finds each as one operator;
`graph.operators` gives their translation to ONNX. Where torchvision's operators work, they are used inside (see
`torchvision_operators`). `roi_align` is ordinary PyTorch and differentiable. Source: mmcv,
mmcv/ops/csrc/pytorch/cpu/nms.cpp and roi_align.cpp.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hrnet_deploy.networks import torchvision_operators
from hrnet_deploy.networks.boxes import overlap


@torch.library.custom_op("hrnet_deploy::nms", mutates_args=())
def nms(boxes: Tensor, scores: Tensor, iou: float, score: float) -> Tensor:
    """Which boxes stay: (G, N) bool.

    The boxes of each of the G groups are looked at by falling score. A box is dropped if it overlaps a box that
    stays by more than `iou`, or if its score is not above `score`.

    Args:
        boxes: (G, N, 4), corners.
        scores: (G, N).
        iou: intersection over union, in 0..1.
        score: the score that must be exceeded.
    """
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    compiled = torchvision_operators.working(scores.device.type)
    for group, above in enumerate(scores > score):
        candidates = above.nonzero()[:, 0]
        if compiled is not None:
            found = compiled.nms(boxes[group, candidates], scores[group, candidates], iou)
            kept[group, candidates[found]] = True
            continue
        order = candidates[scores[group, candidates].argsort(descending=True, stable=True)]
        kept[group, order] = _greedy(overlap(boxes[group, order], boxes[group, order]) > iou)
    return kept


@nms.register_fake
def _(boxes: Tensor, scores: Tensor, iou: float, score: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


def _greedy(over: Tensor) -> Tensor:
    """Which boxes stay, (N,) bool, from which of them overlap too much, (N, N) bool by falling score."""
    rows = over.cpu().numpy()
    stays = torch.ones(len(rows), dtype=torch.bool)
    alive = stays.numpy()
    for i, row in enumerate(rows):
        if alive[i]:
            alive[i + 1 :] &= ~row[i + 1 :]
    return stays.to(over.device)


@torch.library.custom_op("hrnet_deploy::pool_regions", mutates_args=())
def pool_regions(levels: list[Tensor], boxes: Tensor, level: Tensor, strides: list[int], size: int) -> Tensor:
    """Each box pooled from one level of a pyramid: (R, C, size, size).

    Args:
        levels: (1, C, H_i, W_i) each.
        boxes: (R, 4), corners in pixels of the image.
        level: (R,) int64, the index of the level that a box is pooled from. A box with another index gives zeros.
        strides: pixels of the image per cell, of each level.
        size: cells per side of a pooled box.
    """
    pooled = boxes.new_zeros(len(boxes), levels[0].shape[1], size, size)
    compiled = torchvision_operators.working(boxes.device.type)
    for i, (features, stride) in enumerate(zip(levels, strides, strict=True)):
        here = (level == i).nonzero()[:, 0]
        if compiled is not None:
            regions = torch.cat([boxes.new_zeros(len(here), 1), boxes[here]], 1)
            found = compiled.roi_align(
                features.to(boxes.dtype), regions, size, 1 / stride, sampling_ratio=-1, aligned=True
            )
            pooled[here] = found
        else:
            pooled[here] = roi_align(features[0].to(boxes.dtype), boxes[here], 1 / stride, size)
    return pooled


@pool_regions.register_fake
def _(levels: list[Tensor], boxes: Tensor, level: Tensor, strides: list[int], size: int) -> Tensor:
    return boxes.new_empty(boxes.shape[0], levels[0].shape[1], size, size)


def roi_align(
    features: Tensor, boxes: Tensor, scale: float, size: int, sampling: int = 0, aligned: bool = True
) -> Tensor:
    """Regions of one image, pooled to size x size cells. Each cell is the mean of bilinear samples: (R, C, size, size).

    A box without width or height gives zeros. The result is differentiable in the features.

    Args:
        features: (C, H, W).
        boxes: (R, 4), corners in pixels.
        scale: cells of the features per pixel.
        size: cells per side of the result.
        sampling: samples per side of a cell; with 0 as many as the cell spans cells of the features.
        aligned: move boxes by half a cell, because the centre of a cell is half a cell from its corner. Without it,
        no box
            is smaller than one cell.
    """
    channels, height, width = features.shape
    table = features.flatten(1).t().contiguous()
    edges = boxes * scale - (0.5 if aligned else 0.0)
    sides = edges[:, 2:] - edges[:, :2]
    if not aligned:
        sides = sides.clamp(min=1)
    counts = torch.full_like(sides, sampling, dtype=torch.int64) if sampling else (sides / size).ceil().long()
    kinds, kind = torch.unique(counts, dim=0, return_inverse=True)
    none = counts.new_zeros(0)
    order, sizes, index, share = (
        [none],
        [none],
        [none],
        [boxes.new_zeros(0)],
    )  # one bag of cells for each bin; a box has size^2 bins
    for number, (across, down) in enumerate(
        kinds.tolist()
    ):  # boxes with the same number of samples are computed together
        here = (kind == number).nonzero()[:, 0]
        x, x_share = _cells(edges[here, 0], sides[here, 0], size, across, width, merged=not sampling)
        y, y_share = _cells(edges[here, 1], sides[here, 1], size, down, height, merged=not sampling)
        index.append((y[:, :, None, :, None] * width + x[:, None, :, None, :]).flatten())
        share.append((y_share[:, :, None, :, None] * x_share[:, None, :, None, :]).flatten())
        order.append(here)
        sizes.append(here.new_full((len(here) * size * size,), x.shape[-1] * y.shape[-1]))
    ends = torch.cat(sizes).cumsum(0)
    bags = F.embedding_bag(
        torch.cat(index), table, ends - torch.cat(sizes), mode="sum", per_sample_weights=torch.cat(share)
    )
    return bags.reshape(-1, size, size, channels)[torch.cat(order).argsort()].permute(0, 3, 1, 2)


def _cells(start: Tensor, length: Tensor, size: int, count: int, cells: int, merged: bool) -> tuple[Tensor, Tensor]:
    """Along one axis, the cells that each bin reads and their shares, both (R, size, K).

    A sample more than one cell outside counts as zero; a nearer one takes the cell at the border. With `merged`,
    samples are at most one cell apart, so that each bin reads count + 1 cells in a row. Otherwise each sample reads
    two cells.
    """
    if count <= 0:
        return torch.zeros(len(start), size, 0, dtype=torch.int64, device=start.device), start.new_zeros(
            len(start), size, 0
        )
    step = length[:, None, None] / size
    within = (torch.arange(count, device=start.device) + 0.5) * step / count
    at = start[:, None, None] + torch.arange(size, device=start.device)[:, None] * step + within
    counted = ((at >= -1) & (at <= cells)) / count
    at = at.clamp(0, cells - 1)
    low = at.floor().clamp(max=max(cells - 2, 0))
    part = at - low
    index = torch.stack([low, low + 1], -1).long().flatten(-2)
    share = (torch.stack([1 - part, part], -1) * counted[..., None]).flatten(-2)
    if merged:
        first = index[..., :1]
        share = share.new_zeros(*share.shape[:-1], count + 1).scatter_add(-1, index - first, share)
        index = first + torch.arange(count + 1, device=first.device)
    return index.clamp(max=cells - 1), share
