"""The preparation of images as an ONNX graph in text form, which `export --embed` adds before every network.

It computes what `images.normalised` computes; a test compares them. Shapes are static.
"""

from __future__ import annotations

import numpy as np

from hrnet_deploy.image_input import Input

HEADER = '<ir_version: 10, opset_import: ["" : {opset}]>'


def before(spec: Input, passes: int, flip_test: bool, opset: int) -> str:
    """crops uint8 (N, H, W, C) -> image float32 (passes, C, H, W). With a flip test there are 2N passes: the
    images, then their mirror images."""
    mean = ", ".join(repr(float(np.float32(m * 255))) for m in spec.mean)
    scale = ", ".join(repr(float(np.float32(1) / np.float32(s * 255))) for s in spec.std)
    count = len(spec.order)
    as_given = spec.order == tuple(range(count))
    ordered = "Identity(planes)" if as_given else "Gather<axis = 1>(planes, order)"
    batch = passes // 2 if flip_test else passes
    last = (
        """normal = Mul(centred, scale)
           mirrored = Slice(normal, minus_one, far_below, axis_x, minus_one)
           image = Concat<axis = 0>(normal, mirrored)"""
        if flip_test
        else "image = Mul(centred, scale)"
    )
    return f"""{HEADER.format(opset=opset)}
    before (uint8[{batch}, {spec.height}, {spec.width}, {count}] crops)
        => (float[{passes}, {count}, {spec.height}, {spec.width}] image)
    <float[1, {count}, 1, 1] mean = {{{mean}}}, float[1, {count}, 1, 1] scale = {{{scale}}},
     int64[{count}] order = {{{", ".join(map(str, spec.order))}}},
     int64[1] minus_one = {{-1}}, int64[1] far_below = {{-1000000}}, int64[1] axis_x = {{3}}>
    {{
        floats = Cast<to = 1>(crops)
        planes = Transpose<perm = [0, 3, 1, 2]>(floats)
        channels = {ordered}
        centred = Sub(channels, mean)
        {last}
    }}"""
