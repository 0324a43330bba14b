"""The decoding of heatmaps as an ONNX graph in text form, which `export --embed` adds behind a pose network.

It computes what the rules of `decoding` compute; a test compares them. Shapes are static. It uses only operators that
every engine has: neighbours are gathered from the flattened heatmap, and integer division replaces remainders."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.image_input import Input
from hrnet_deploy.tasks.base import Maps
from hrnet_deploy.tasks.input_graph import HEADER
from hrnet_deploy.tasks.pose.decoding import LEAST, UDP_RANGE
from hrnet_deploy.tasks.pose.heatmaps import strides
from hrnet_deploy.tasks.pose.labels import Keypoints

# The score of a keypoint is the value of its heatmap, so whatever bounds that value stays.
ADOPTION = Maps(
    kept=frozenset({"Relu", "Clip", "LeakyRelu", "Sigmoid"}), stride=4, undone="keypoints are decoded from the heatmaps"
)


def embedding(card: ModelCard, output: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """See `tasks.base.Embedding`."""
    labels = card.labels_as(Keypoints)
    if flip_test and not labels.mirrors:
        raise BadInput(f"{card.name} does not say which keypoints mirror each other — leave --flip-test out")
    return after(card.input, labels, output, flip_test, opset)


def after(spec: Input, points: Keypoints, heatmaps: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """heatmaps (N or 2N, K, h, w) -> keypoints (N, K, 2) in pixels of the crop as x, y, and scores (N, K)."""
    passes, count, height, width = heatmaps
    batch = passes // 2 if flip_test else passes
    order = list(range(count))
    for a, b in points.flip_pairs:
        order[a], order[b] = b, a
    shift = "Concat<axis = 3>(first, rest)" if points.shifts_mirrored else "Identity(back)"
    merge = (
        f"""plain = Slice(heatmaps, zero, batch, axis_n)
        other = Slice(heatmaps, batch, passes, axis_n)
        swapped = Gather<axis = 1>(other, order)
        back = Slice(swapped, minus_one, far_below, axis_x, minus_one)
        first = Slice(back, zero, one, axis_x)
        rest = Slice(back, zero, minus_one, axis_x)
        shifted = {shift}
        both = Add(plain, shifted)
        maps = Mul(both, half)"""
        if flip_test
        else "maps = Identity(heatmaps)"
    )
    rule = _RULES[points.decode](points, heatmaps)
    across, down = strides(spec, (width, height), points.crop_geometry)
    return f"""{HEADER.format(opset=opset)}
    after (float[{passes}, {count}, {height}, {width}] heatmaps)
        => (float[{batch}, {count}, 2] keypoints, float[{batch}, {count}] scores)
    <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] minus_one = {{-1}}, int64[1] far_below = {{-1000000}},
     int64[1] axis_n = {{0}}, int64[1] axis_x = {{3}}, int64[1] batch = {{{batch}}}, int64[1] passes = {{{passes}}},
     int64[{count}] order = {{{", ".join(map(str, order))}}}, float half = {{0.5}}, float nothing = {{0.0}},
     float[2] stride = {{{across!r}, {down!r}}}, int64 w = {{{width}}}, int64 none = {{0}}, {_WHOLE_NUMBERS},
     int64 last_x = {{{width - 1}}}, int64 last_y = {{{height - 1}}}, float nowhere = {{{rule.nowhere}}},
     int64[3] flat_shape = {{{batch}, {count}, {height * width}}}, int64[1] axis_flat = {{2}}, {rule.constants}>
    {{
        {merge}
        flat = Reshape(maps, flat_shape)
        scores = ReduceMax<keepdims = 0>(flat, axis_flat)
        index = ArgMax<axis = 2, keepdims = 1>(flat)
        y = Div(index, w)
        rows = Mul(y, w)
        x = Sub(index, rows)
        {rule.steps}
        corner = Concat<axis = 2>(x, y)
        corner_float = Cast<to = 1>(corner)
        refined = Add(corner_float, refinement)
        found = Greater(scores, nothing)
        mask = Unsqueeze(found, axis_flat)
        placed = Where(mask, refined, nowhere)
        keypoints = Mul(placed, stride)
    }}"""


@dataclass(frozen=True)
class _Rule:
    """A decoding as part of the graph. Its `steps` make `refinement` (N, K, 2), by which the maximum at `x`, `y` is
    moved, from `maps` or `flat`. `nowhere` is the place of a keypoint without a positive score."""

    constants: str
    steps: str
    nowhere: float


_WHOLE_NUMBERS = "int64 m2 = {-2}, int64 m1 = {-1}, int64 p1 = {1}, int64 p2 = {2}"
_STEPS = {-2: "m2", -1: "m1", 1: "p1", 2: "p2"}  # the names of these constants


def _neighbour(name: str, right: int, down: int, maps: str) -> str:
    """Lines that give the values at an offset from the maximum; beyond the border they are those at the border."""
    lines = []
    for axis, by in (("x", right), ("y", down)):
        moved = f"Add({axis}, {_STEPS[by]})" if by else f"Identity({axis})"
        lines += [f"{name}_{axis}_moved = {moved}", f"{name}_{axis}_least = Max({name}_{axis}_moved, none)"]
        lines += [f"{name}_{axis} = Min({name}_{axis}_least, last_{axis})"]
    lines += [f"{name}_row = Mul({name}_y, w)", f"{name}_at = Add({name}_row, {name}_x)"]
    return "\n        ".join([*lines, f"{name} = GatherElements<axis = 2>({maps}, {name}_at)"])


_SIDES = {"right": (1, 0), "left": (-1, 0), "below": (0, 1), "above": (0, -1)}


def _around(maps: str, **more: tuple[int, int]) -> str:
    """Lines for the four neighbours of the maximum, and for others by their names."""
    return "\n        ".join(_neighbour(name, *offset, maps) for name, offset in {**_SIDES, **more}.items())


# a quarter pixel towards the higher neighbour
_TOWARDS = f"""{_around("flat")}
        across = Sub(right, left)
        down = Sub(below, above)
        slope = Concat<axis = 2>(across, down)
        towards = Sign(slope)
        step = Mul(towards, quarter)"""


def _quarter_offset(points: Keypoints, heatmaps: tuple[int, ...]) -> _Rule:
    steps = f"""{_TOWARDS}
        {_inside("last_x", "last_y")}
        refinement = Mul(step, inside)"""
    return _Rule("float quarter = {0.25}", steps, 0.0)


def _face(points: Keypoints, heatmaps: tuple[int, ...]) -> _Rule:
    steps = f"""{_TOWARDS}
        {_inside("last_x", "last_y", border="none")}
        moved = Mul(step, inside)
        refinement = Add(moved, half)"""
    return _Rule("float quarter = {0.25}", steps, -0.5)


def _inside(right_end: str, lower_end: str, border: str = "p1") -> str:
    """Lines that make `inside`: 1 where border < x < right_end and border < y < lower_end, else 0."""
    return f"""x_low = Greater(x, {border})
        x_high = Less(x, {right_end})
        y_low = Greater(y, {border})
        y_high = Less(y, {lower_end})
        x_in = And(x_low, x_high)
        y_in = And(y_low, y_high)
        both_in = And(x_in, y_in)
        inside = Cast<to = 1>(both_in)"""


def _dark(points: Keypoints, heatmaps: tuple[int, ...]) -> _Rule:
    _, _, height, width = heatmaps
    smoothed, constants = _smoothed(points, heatmaps, (LEAST, None))
    corners = {"lower_right": (1, 1), "upper_right": (1, -1), "lower_left": (-1, 1), "upper_left": (-1, -1)}
    far = {"right_2": (2, 0), "left_2": (-2, 0), "below_2": (0, 2), "above_2": (0, -2), "centre": (0, 0)}
    steps = f"""{smoothed}
        {_around("log", **corners, **far)}
        {_curvature("xx", "right_2", "left_2", "quarter")}
        {_curvature("yy", "below_2", "above_2", "quarter")}
        rising = Add(lower_right, upper_left)
        falling = Add(upper_right, lower_left)
        twist = Sub(rising, falling)
        xy = Mul(twist, quarter)
        {_newton_step()}
        {_inside("end_x", "end_y")}
        refinement = Mul(step, inside)"""
    own = f"float quarter = {{0.25}}, int64 end_x = {{{width - 2}}}, int64 end_y = {{{height - 2}}}"
    return _Rule(f"{constants}, {own}", steps, -1.0)


def _udp(points: Keypoints, heatmaps: tuple[int, ...]) -> _Rule:
    smoothed, constants = _smoothed(points, heatmaps, UDP_RANGE)
    steps = f"""{smoothed}
        {_around("log", centre=(0, 0), lower_right=(1, 1), upper_left=(-1, -1))}
        {_curvature("xx_flat", "right", "left", "unit")}
        {_curvature("yy_flat", "below", "above", "unit")}
        xx = Add(xx_flat, least)
        yy = Add(yy_flat, least)
        beside_x = Add(right, left)
        beside_y = Add(below, above)
        beside = Add(beside_x, beside_y)
        diagonal = Add(lower_right, upper_left)
        centre_twice = Add(centre, centre)
        with_centre = Add(diagonal, centre_twice)
        twist = Sub(with_centre, beside)
        xy = Mul(twist, half)
        {_newton_step()}
        refinement = Identity(step)"""
    return _Rule(
        f"{constants}, float least = {{{float(np.finfo(np.float32).eps)!r}}}, float unit = {{1.0}}", steps, -1.0
    )


_RULES = {"quarter_offset": _quarter_offset, "dark": _dark, "udp": _udp, "face": _face}


def _smoothed(points: Keypoints, heatmaps: tuple[int, ...], limits: tuple[float, float | None]) -> tuple[str, str]:
    """Lines that make `log`: the logarithm of the smoothed heatmaps, (N, K, h * w). And the constants they need."""
    _, _, height, width = heatmaps
    side, most = points.blur, limits[1]
    weights = ", ".join(repr(float(v)) for v in cv2.getGaussianKernel(side, 0, cv2.CV_32F)[:, 0])
    edge = side // 2
    clipped = "Identity(raised)" if most is None else "Min(raised, most)"
    lines = f"""each = Reshape(maps, each_shape)
        smooth_x = Conv<pads = [0, {edge}, 0, {edge}]>(each, kernel_x)
        smooth = Conv<pads = [{edge}, 0, {edge}, 0]>(smooth_x, kernel_y)
        before = ReduceMax<keepdims = 1>(each, axes_map)
        after_it = ReduceMax<keepdims = 1>(smooth, axes_map)
        flat_map = Equal(after_it, nothing)
        divisor = Where(flat_map, positive, after_it)
        factor = Div(before, divisor)
        scaled_back = Mul(smooth, factor)
        raised = Max(scaled_back, least_value)
        clipped = {clipped}
        log_each = Log(clipped)
        log = Reshape(log_each, flat_shape)"""
    constants = f"""int64[4] each_shape = {{-1, 1, {height}, {width}}}, int64[2] axes_map = {{2, 3}},
     float[1, 1, 1, {side}] kernel_x = {{{weights}}}, float[1, 1, {side}, 1] kernel_y = {{{weights}}},
     float positive = {{1.0}}, float least_value = {{{limits[0]!r}}}, float two = {{2.0}}"""
    return lines, constants if most is None else f"{constants}, float most = {{{most!r}}}"


def _curvature(name: str, one: str, other: str, factor: str) -> str:
    return f"""{name}_sides = Add({one}, {other})
        {name}_centre = Mul(centre, two)
        {name}_difference = Sub({name}_sides, {name}_centre)
        {name} = Mul({name}_difference, {factor})"""


def _newton_step() -> str:
    """Lines that make `step` (N, K, 2): the way to the extremum, and zero where there is none. See `decoding`."""
    return """difference_x = Sub(right, left)
        difference_y = Sub(below, above)
        dx = Mul(difference_x, half)
        dy = Mul(difference_y, half)
        xx_yy = Mul(xx, yy)
        xy_xy = Mul(xy, xy)
        determinant = Sub(xx_yy, xy_xy)
        singular = Equal(determinant, nothing)
        safe = Where(singular, positive, determinant)
        xy_dy = Mul(xy, dy)
        yy_dx = Mul(yy, dx)
        xy_dx = Mul(xy, dx)
        xx_dy = Mul(xx, dy)
        along_x = Sub(xy_dy, yy_dx)
        along_y = Sub(xy_dx, xx_dy)
        along = Concat<axis = 2>(along_x, along_y)
        newton = Div(along, safe)
        step = Where(singular, nothing, newton)"""
