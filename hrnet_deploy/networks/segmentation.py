"""Segmentation networks: HRNetV2 with and without OCR, and the dilated ResNets of the paper's cost table.

All take normalised images, (N, C, H, W), and give class logits, (N, classes, h, w), at 1/4 (HRNetV2) or 1/8
(dilated ResNets) of the input's size. The segmentation task upsamples them to the size of the image.

Sources: HRNet-Semantic-Segmentation, lib/models/seg_hrnet.py and seg_hrnet_ocr.py (HighResolutionNet); mmsegmentation,
mmseg/models/decode_heads/psp_head.py and aspp_head.py, whose parameter names the dilated ResNets carry.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hrnet_deploy import architecture
from hrnet_deploy.networks.blocks import conv_bn
from hrnet_deploy.networks.hrnet import HRNet, concat_head, joined
from hrnet_deploy.networks.resnet import DilatedBody

OCR_CHANNELS, OCR_KEYS = (
    512,
    256,
)  # channels of the features, and of queries and keys; the same in every public configuration
POOLS = (1, 2, 3, 6)  # PSPNet's grids
DILATIONS = (1, 12, 24, 36)  # DeepLabV3's, at 1/8


class SegHRNet(HRNet):
    """HRNetV2: every branch is resized to 1/4 of the input and concatenated."""

    def __init__(self, shape: architecture.SegHRNet) -> None:
        super().__init__(shape.body, image_channels=shape.image_channels)
        width = sum(self.outputs)
        self.ocr = shape.ocr
        if not shape.ocr:
            self.last_layer = concat_head(width, shape.classes, shape.head_kernel)
            return
        self.conv3x3_ocr = nn.Sequential(
            nn.Conv2d(width, OCR_CHANNELS, 3, padding=1), nn.BatchNorm2d(OCR_CHANNELS), nn.ReLU(inplace=True)
        )
        self.ocr_distri_head = _Context()
        self.cls_head = nn.Conv2d(OCR_CHANNELS, shape.classes, 1)
        self.aux_head = concat_head(width, shape.classes)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        pixels = joined(self.features(x), self.body.upsample.align_corners)
        if not self.ocr:
            return self.last_layer(pixels)
        estimate = self.aux_head(pixels)
        pixels = self.conv3x3_ocr(pixels)
        # the mean features of each class, weighted by how likely each pixel belongs to it
        regions = torch.matmul(estimate.flatten(2).softmax(2), pixels.flatten(2).transpose(1, 2))  # (N, classes, 512)
        return self.cls_head(self.ocr_distri_head(pixels, regions.transpose(1, 2).unsqueeze(3)))


class _Attention(nn.Module):
    """For every pixel the features of the classes, weighted by how similar the pixel is to each class."""

    def __init__(self) -> None:
        super().__init__()
        self.f_pixel, self.f_object = (
            nn.Sequential(*_conv(OCR_CHANNELS, OCR_KEYS), *_conv(OCR_KEYS, OCR_KEYS)) for _ in range(2)
        )
        self.f_down = nn.Sequential(*_conv(OCR_CHANNELS, OCR_KEYS))
        self.f_up = nn.Sequential(*_conv(OCR_KEYS, OCR_CHANNELS))

    def forward(self, pixels: Tensor, regions: Tensor) -> Tensor:
        query = self.f_pixel(pixels).flatten(2).transpose(1, 2)  # (N, H W, 256)
        key = self.f_object(regions).flatten(2)  # (N, 256, classes)
        value = self.f_down(regions).flatten(2).transpose(1, 2)  # (N, classes, 256)
        similarity = (torch.matmul(query, key) * OCR_KEYS**-0.5).softmax(2)
        context = torch.matmul(similarity, value).transpose(1, 2)
        return self.f_up(context.reshape(context.shape[0], OCR_KEYS, *pixels.shape[-2:]))


class _Context(nn.Module):
    """The features of each pixel combined with those of the classes that it resembles, (N, 512, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.object_context_block = _Attention()
        self.conv_bn_dropout = nn.Sequential(*_conv(2 * OCR_CHANNELS, OCR_CHANNELS))

    def forward(self, pixels: Tensor, regions: Tensor) -> Tensor:
        return self.conv_bn_dropout(torch.cat([self.object_context_block(pixels, regions), pixels], 1))


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    """A 1x1 convolution, then batch norm and ReLU as one module, as in the official parameter names."""
    conv, norm = conv_bn(inputs, outputs, 1)
    return [conv, nn.Sequential(norm, nn.ReLU(inplace=True))]


class _ConvModule(nn.Module):
    """The ConvModule of mmcv: convolution without a bias, batch norm, ReLU. (N, inputs, H, W) -> (N, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv, self.bn = conv_bn(inputs, outputs, kernel, dilation=dilation)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class _Bins(nn.Module):
    """Adaptive average pooling to `count` x `count`, by PyTorch's bins: from floor(i n / count) to ceil((i + 1) n /
    count).

    It is two products with averaging matrices, because ONNX has no adaptive pooling.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (self._averages(x, x.shape[axis]) for axis in (2, 3))
        return torch.matmul(rows, torch.matmul(x, columns.transpose(0, 1)))

    def _averages(self, x: Tensor, size: int) -> Tensor:
        """The matrix (count, size) whose rows average one bin each."""
        bins = torch.arange(self.count, device=x.device).unsqueeze(1)
        at = torch.arange(size, device=x.device).unsqueeze(0)
        first, end = bins * size // self.count, ((bins + 1) * size + self.count - 1) // self.count
        inside = ((at >= first) & (at < end)).to(x.dtype)
        return inside / inside.sum(1, keepdim=True)


class _PyramidPooling(nn.Module):
    """PSPNet's head: means over grids of 1x1, 2x2, 3x3 and 6x6 cells, resized and concatenated with the map itself."""

    def __init__(self, inputs: int, channels: int, classes: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(channels, classes, 1)
        self.psp_modules = nn.ModuleList(nn.Sequential(_Bins(n), _ConvModule(inputs, channels, 1)) for n in POOLS)
        self.bottleneck = _ConvModule(inputs + len(POOLS) * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        size = list(x.shape[-2:])
        pooled = [F.interpolate(p(x), size=size, mode="bilinear", align_corners=False) for p in self.psp_modules]
        return self.conv_seg(self.bottleneck(torch.cat([x, *pooled], 1)))


class _AtrousPooling(nn.Module):
    """DeepLabV3's head: the mean of the map, and convolutions with dilations of 1, 12, 24 and 36."""

    def __init__(self, inputs: int, channels: int, classes: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(channels, classes, 1)
        self.image_pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), _ConvModule(inputs, channels, 1))
        self.aspp_modules = nn.ModuleList(_ConvModule(inputs, channels, 1 if d == 1 else 3, d) for d in DILATIONS)
        self.bottleneck = _ConvModule((len(DILATIONS) + 1) * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        mean = F.interpolate(self.image_pool(x), size=list(x.shape[-2:]), mode="bilinear", align_corners=False)
        return self.conv_seg(self.bottleneck(torch.cat([mean, *(m(x) for m in self.aspp_modules)], 1)))


HEADS: dict[str, type[_PyramidPooling] | type[_AtrousPooling]] = {"psp": _PyramidPooling, "aspp": _AtrousPooling}


class DilatedResNet(nn.Module):
    """PSPNet or DeepLabV3: a dilated ResNet and the head that `shape.head` names."""

    def __init__(self, shape: architecture.DilatedResNet) -> None:
        super().__init__()
        self.backbone = DilatedBody(shape.depth, shape.image_channels)
        self.decode_head = HEADS[shape.head](self.backbone.outputs, shape.channels, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.decode_head(self.backbone(x))
