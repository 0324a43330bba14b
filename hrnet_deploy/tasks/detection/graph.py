"""How the lists of boxes that other exporters' graphs give become the outputs of `export`, as an ONNX graph in text
form."""

from __future__ import annotations

from collections.abc import Sequence

from hrnet_deploy.architecture import Detections
from hrnet_deploy.cards import ModelCard
from hrnet_deploy.errors import BadInput
from hrnet_deploy.tasks.base import GraphOutput
from hrnet_deploy.tasks.input_graph import HEADER

FORMS = "`dets` (1, n, 5) with `labels` (1, n), as mmdeploy and mmdetection write them, or boxes, scores and labels"


def adoption(card: ModelCard, outputs: Sequence[GraphOutput], opset: int, path: object) -> tuple[str, dict[str, str]]:
    """See `tasks.base.Lists`."""
    floats = [o for o in outputs if o.floats]
    labels = [o for o in outputs if not o.floats and len(o.shape) in (1, 2) and o.name != "count"]
    with_scores = [o for o in floats if len(o.shape) in (2, 3) and o.shape[-1] == 5]
    boxes = [o for o in floats if len(o.shape) in (2, 3) and o.shape[-1] == 4]
    scores = [o for o in floats if o not in (*boxes, *with_scores) and len(o.shape) in (1, 2)]
    if len(labels) == 1 and len(with_scores) == 1 and len(floats) == 1:
        return _text(card, with_scores[0], None, labels[0], opset), {
            "dets": with_scores[0].name,
            "classes": labels[0].name,
        }
    if len(labels) == 1 and len(boxes) == 1 and len(scores) == 1 and len(floats) == 2:
        names = {"dets": boxes[0].name, "points": scores[0].name, "classes": labels[0].name}
        return _text(card, boxes[0], scores[0], labels[0], opset), names
    found = ", ".join(f"{o.name} {'x'.join(str(d) if d else '?' for d in o.shape)}" for o in outputs)
    raise BadInput(
        f"{path} gives its boxes in a form that is not known ({found}) — export it with one of those that are, {FORMS}"
    )


def _text(card: ModelCard, dets: GraphOutput, points: GraphOutput | None, labels: GraphOutput, opset: int) -> str:
    """Boxes are clipped to the image and sorted by score. Rows without a score or a class are padding, and the list is
    brought to as many rows as the card says."""
    kept = getattr(card.architecture, "detections", Detections()).kept
    columns = 4 if points else 5
    row = "n" if not isinstance(dets.shape[-2], int) or not dets.shape[-2] else str(dets.shape[-2])
    rank = {o.name: len(o.shape) for o in (dets, points, labels) if o}
    inputs = [
        f"float[{_axes(rank[dets.name] - 1, row)},{columns}] dets",
        f"int64[{_axes(rank[labels.name], row)}] classes",
    ]
    if points:
        inputs.append(f"float[{_axes(rank[points.name], row)}] points")
    return f"""{HEADER.format(opset=opset)}
    after ({", ".join(inputs)}, float[1, 2] image_size)
        => (float[1, {kept}, 4] boxes, float[1, {kept}] scores, int64[1, {kept}] labels, int64[1] count)
    <int64[3] rows = {{1, -1, {columns}}}, int64[2] row = {{1, -1}}, int64[1] first = {{0}}, int64[1] four = {{4}},
     int64[1] five = {{5}}, int64[1] last = {{2}}, int64[1] axis_one = {{1}}, int64[4] corners = {{1, 0, 1, 0}},
     int64[1] most = {{{kept}}}, float nothing = {{0.0}}, int64 no_class = {{-1}}, int64 class_zero = {{0}},
     float[1, {kept}, 4] no_boxes = {{{", ".join(["0.0"] * 4 * kept)}}},
     float[1, {kept}] no_scores = {{{", ".join(["0.0"] * kept)}}},
     int64[1, {kept}] no_labels = {{{", ".join(["-1"] * kept)}}}>
    {{
        listed = Reshape(dets, rows)
        corner = Slice(listed, first, four, last)
        {"score = Reshape(points, row)" if points else "column = Slice(listed, four, five, last)"}
        {"" if points else "score = Reshape(column, row)"}
        whole_classes = Cast<to = 7>(classes)
        label = Reshape(whole_classes, row)
        scored = Greater(score, nothing)
        labelled = GreaterOrEqual(label, class_zero)
        real = And(scored, labelled)
        ones = Cast<to = 1>(real)
        real_score = Mul(score, ones)
        many_scores = Concat<axis = 1>(real_score, no_scores)
        many_labels = Concat<axis = 1>(label, no_labels)
        many_boxes = Concat<axis = 1>(corner, no_boxes)
        scores, place = TopK<axis = 1>(many_scores, most)
        found_labels = GatherElements<axis = 1>(many_labels, place)
        some = Greater(scores, nothing)
        labels = Where(some, found_labels, no_class)
        some_whole = Cast<to = 7>(some)
        count = ReduceSum<keepdims = 0>(some_whole, axis_one)
        column_place = Unsqueeze(place, last)
        box_place = Concat<axis = 2>(column_place, column_place, column_place, column_place)
        found_boxes = GatherElements<axis = 1>(many_boxes, box_place)
        above = Max(found_boxes, nothing)
        limit = Gather<axis = 1>(image_size, corners)
        limits = Unsqueeze(limit, axis_one)
        inside = Min(above, limits)
        some_float = Cast<to = 1>(some)
        mask = Unsqueeze(some_float, last)
        boxes = Mul(inside, mask)
    }}"""


def _axes(rank: int, row: str) -> str:
    return row if rank == 1 else f"1, {row}"
