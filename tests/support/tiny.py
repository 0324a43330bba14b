"""Networks small enough to export in seconds, and the sizes of their inputs (height, width)."""

from __future__ import annotations

import dataclasses

from hrnet_deploy import architecture as arch

TINY = arch.PoseHRNet(
    arch.Body(
        stage1=arch.Stage(1, (1,), (8,), "bottleneck"),
        stages=(
            arch.Stage(1, (1, 1), (8, 16)),
            arch.Stage(1, (1, 1, 1), (8, 16, 32)),
            arch.Stage(2, (1, 1, 1, 1), (8, 16, 32, 64)),
        ),
        stem=8,
    ),
    keypoints=17,
)


SIZE = (96, 64)


BODY = dataclasses.replace(
    TINY.body, stages=(*TINY.body.stages[:2], dataclasses.replace(TINY.body.stages[2], modules=1))
)


DETECTOR = arch.FasterRCNN(BODY, classes=6, neck=16, hidden=32)


FRAME = (96, 128)


TINY_SEG = arch.SegHRNet(
    dataclasses.replace(TINY.body, stages=TINY.body.stages[:2], upsample=arch.Upsample("bilinear")), classes=19
)


SEG_SIZE = (64, 128)


TINY_CLASSIFIER = arch.ClassHRNet(BODY, classes=6, head=(4, 4, 8, 8), features=32)


CLASSIFIER_SIZE = (64, 64)
