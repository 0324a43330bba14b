"""Convert detectors of mmdetection 0.x and 1.x to the names and the class order of version 2 and later.

Before version 2 the background was class 0 and had box deltas of its own. Since then it is the last class and has none.
The weights do not show how the old code treated the heads' outputs (its boxes were one pixel wider, its anchors
rounded), so such a checkpoint is run by the rules of version 2.

Sources: the key lists of both versions, and mmdetection's tools/model_converters/upgrade_model_version.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

OLD_HEAD, HEAD = "bbox_head.", "roi_head.bbox_head."
RENAMED = {
    r"^bbox_head\.": HEAD,
    r"^neck\.reduction_conv\.0\.": "neck.reduction_conv.conv.",
    r"^neck\.fpn_conv\.(\d)\.": r"neck.fpn_convs.\1.conv.",
}
MMDETECTION, OLD = "mmdetection", "mmdetection before 2.0"


def is_detector(names: Mapping[str, object]) -> bool:
    """Whether these tensors are those of a detector with a region proposal network."""
    return any(n.startswith("rpn_head.") for n in names)


def to_current(tensors: Mapping[str, T]) -> tuple[str, dict[str, T]]:
    """The name of the layout, and the tensors under the names of version 2. The tensors themselves are not changed."""
    layout = OLD if any(n.startswith(OLD_HEAD) for n in tensors) else MMDETECTION
    return layout, {_renamed(n): t for n, t in tensors.items()}


def background_last(layout: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the rows of the box head in the order of version 2.

    In an old layout the background's scores move to the end, and its deltas are removed. A current layout is not
    changed.
    """
    moved = dict(tensors)
    if layout.startswith(OLD):
        for name in (f"{HEAD}fc_cls.weight", f"{HEAD}fc_cls.bias"):
            if name in moved:
                moved[name] = moved[name].roll(-1, 0)
        for name in (f"{HEAD}fc_reg.weight", f"{HEAD}fc_reg.bias"):
            if name in moved:
                moved[name] = moved[name][4:]
    return moved


def _renamed(name: str) -> str:
    for pattern, new in RENAMED.items():
        name = re.sub(pattern, new, name)
    return name
