"""The decoding of heatmaps as an ONNX graph in text form, which `export --embed` adds behind a pose network.

It computes what `heatmaps.keypoints` computes; a test compares them. Shapes are static. It uses only operators that
every engine has: neighbours are gathered from the flattened heatmap, and integer division replaces remainders."""

from __future__ import annotations

from hrnet_deploy.cards import Input, ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import Maps
from hrnet_deploy.tasks.input_graph import HEADER
from hrnet_deploy.tasks.pose.labels import Keypoints

# The score of a keypoint is the value of its heatmap, so whatever bounds that value stays.
ADOPTION = Maps(
    kept=frozenset({"Relu", "Clip", "LeakyRelu", "Sigmoid"}), stride=4, undone="keypoints are decoded from the heatmaps"
)


def embedding(card: ModelCard, output: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """See `tasks.base.Embedding`."""
    labels = card.labels_as(Keypoints)
    if flip_test and not labels.flip_pairs:
        raise BadInput(f"{card.name} does not say which keypoints mirror each other — leave --flip-test out")
    return after(card.input, labels, output, flip_test, opset)


def after(spec: Input, points: Keypoints, heatmaps: tuple[int, ...], flip_test: bool, opset: int) -> str:
    """heatmaps (N or 2N, K, h, w) -> keypoints (N, K, 2) in pixels of the crop as x, y, and scores (N, K)."""
    passes, count, height, width = heatmaps
    batch = passes // 2 if flip_test else passes
    order = list(range(count))
    for a, b in points.flip_pairs:
        order[a], order[b] = b, a
    shift = "Concat<axis = 3>(first, rest)" if points.flip_shift else "Identity(back)"
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
    return f"""{HEADER.format(opset=opset)}
    after (float[{passes}, {count}, {height}, {width}] heatmaps)
        => (float[{batch}, {count}, 2] keypoints, float[{batch}, {count}] scores)
    <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] minus_one = {{-1}}, int64[1] far_below = {{-1000000}},
     int64[1] axis_n = {{0}}, int64[1] axis_x = {{3}}, int64[1] batch = {{{batch}}}, int64[1] passes = {{{passes}}},
     int64[{count}] order = {{{", ".join(map(str, order))}}}, float half = {{0.5}},
     float quarter = {{0.25}}, float nothing = {{0.0}},
     float stride = {{{float(spec.width / width)!r}}}, int64 w = {{{width}}}, int64 unit = {{1}}, int64 none = {{0}},
     int64 last_x = {{{width - 1}}}, int64 last_y = {{{height - 1}}}, int64 last = {{{height * width - 1}}},
     int64[3] flat_shape = {{{batch}, {count}, {height * width}}}, int64[1] axis_flat = {{2}}>
    {{
        {merge}
        flat = Reshape(maps, flat_shape)
        scores = ReduceMax<keepdims = 0>(flat, axis_flat)
        index = ArgMax<axis = 2, keepdims = 1>(flat)
        y = Div(index, w)
        rows = Mul(y, w)
        x = Sub(index, rows)
        right_of = Add(index, unit)
        left_of = Sub(index, unit)
        below_it = Add(index, w)
        above_it = Sub(index, w)
        right_at = Min(right_of, last)
        left_at = Max(left_of, none)
        below_at = Min(below_it, last)
        above_at = Max(above_it, none)
        right = GatherElements<axis = 2>(flat, right_at)
        left = GatherElements<axis = 2>(flat, left_at)
        below = GatherElements<axis = 2>(flat, below_at)
        above = GatherElements<axis = 2>(flat, above_at)
        across = Sub(right, left)
        down = Sub(below, above)
        slope = Concat<axis = 2>(across, down)
        towards = Sign(slope)
        step = Mul(towards, quarter)
        x_low = Greater(x, unit)
        x_high = Less(x, last_x)
        y_low = Greater(y, unit)
        y_high = Less(y, last_y)
        x_in = And(x_low, x_high)
        y_in = And(y_low, y_high)
        inside = And(x_in, y_in)
        inside_float = Cast<to = 1>(inside)
        refinement = Mul(step, inside_float)
        corner = Concat<axis = 2>(x, y)
        corner_float = Cast<to = 1>(corner)
        refined = Add(corner_float, refinement)
        scaled = Mul(refined, stride)
        found = Greater(scores, nothing)
        found_float = Cast<to = 1>(found)
        mask = Unsqueeze(found_float, axis_flat)
        keypoints = Mul(scaled, mask)
    }}"""
