"""The architectures of the official networks that the goldens were made with, by the name of the golden."""

from __future__ import annotations

import dataclasses

from hrnet_deploy import architecture as arch

BILINEAR, CORNERS = arch.Upsample("bilinear"), arch.Upsample("bilinear", align_corners=True)


MMSEG = arch.Upsample("bilinear", two_steps=True)


def small(stem: int, units: int, width: int, modules: tuple[int, ...], upsample: arch.Upsample) -> arch.Body:
    """The official small variants: `units` bottlenecks of `stem` channels, then two residual units per branch."""
    body = arch.Body.of_width(width, modules, blocks=2, upsample=upsample)
    return dataclasses.replace(body, stage1=arch.Stage(1, (units,), (stem,), "bottleneck"))


OFFICIAL: dict[str, arch.Architecture] = {
    "pose_hrnet_w32": arch.PoseHRNet(arch.Body.of_width(32)),
    "pose_hrnet_w48": arch.PoseHRNet(arch.Body.of_width(48)),
    "simplebaseline_resnet152": arch.SimpleBaseline(152),
    "seg_hrnetv2_w18_small_v1": arch.SegHRNet(small(32, 1, 16, (1, 1, 1), BILINEAR)),
    "seg_hrnetv2_w18_small_v2": arch.SegHRNet(small(64, 2, 18, (1, 3, 2), BILINEAR)),
    "seg_hrnetv2_w48_cityscapes": arch.SegHRNet(arch.Body.of_width(48, upsample=BILINEAR)),
    "seg_hrnet_ocr_w48_cityscapes": arch.SegHRNet(arch.Body.of_width(48, upsample=CORNERS), ocr=True),
    "mmseg_fcn_hr18": arch.SegHRNet(arch.Body.of_width(18, upsample=MMSEG)),
    "mmseg_fcn_hr18_odd": arch.SegHRNet(arch.Body.of_width(18, upsample=MMSEG)),
    "mmseg_fcn_hr48": arch.SegHRNet(arch.Body.of_width(48, upsample=MMSEG)),
    "mmseg_ocrnet_hr18": arch.SegHRNet(arch.Body.of_width(18, upsample=MMSEG), ocr=True),
    "mmseg_ocrnet_hr48": arch.SegHRNet(arch.Body.of_width(48, upsample=MMSEG), ocr=True),
    "pspnet_r101d8": arch.DilatedResNet(101, "psp"),
    "deeplabv3_r101d8": arch.DilatedResNet(101, "aspp"),
    "deeplabv3_r101d8_wide": arch.DilatedResNet(101, "aspp"),
    "face_hrnet_w18": arch.FaceHRNet(arch.Body.of_width(18, upsample=BILINEAR)),
    "mmpose_hrnetv2_w18_300w": arch.FaceHRNet(arch.Body.of_width(18, upsample=BILINEAR)),
}
