"""Tensors that an ONNX file keeps in other files next to it (external data)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from hrnet_deploy.errors import BadInput
from hrnet_deploy.files import sha256

MOST = 2**31 - 2**24  # bytes of all tensors: a file with its tensors inside can have 2 GiB


def external_files(model: onnx.ModelProto, path: Path) -> list[Path]:
    """The other files that hold tensors of the model at `path`, sorted.

    Raises BadInput if one is missing, is not in the folder of the model, or is too short for its tensors.
    """
    ends: dict[Path, int] = {}
    total = 0
    for tensor in _external_tensors(model):
        file, start, size = _place(tensor, path)
        ends[file] = max(ends.get(file, 0), start + size)
        total += size
    for file, end in ends.items():
        if file.stat().st_size < end:
            raise BadInput(
                f"{file} is cut off: {path} has tensors up to byte {end} of it — copy or download both files again"
            )
    if total > MOST:
        raise BadInput(f"{path} has {total / 2**30:.1f} GiB of tensors in other files — at most 2 GiB can be used")
    return sorted(ends)


def load_external(model: onnx.ModelProto, path: Path) -> None:
    """Take the tensors that are in other files into the model. Raises BadInput as `external_files`."""
    external_files(model, path)
    for tensor in list(_external_tensors(model)):
        file, start, size = _place(tensor, path)
        with file.open("rb") as data:
            data.seek(start)
            tensor.raw_data = data.read(size)
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT


def digest_with_external(model: onnx.ModelProto, path: Path) -> str:
    """The sha256 of the file; with tensors in other files, one over the digests of all of them."""
    digests = [sha256(path), *map(sha256, external_files(model, path))]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _place(tensor: onnx.TensorProto, path: Path) -> tuple[Path, int, int]:
    """The file of a tensor, the position of its first byte and its number of bytes."""
    try:
        found = ExternalDataInfo(tensor)
        size = int(np.prod(tensor.dims, dtype=object)) * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        start, given = int(found.offset or 0), int(found.length or size)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path} does not say where the tensor {tensor.name} is ({error!r}) — save the model again"
        ) from error
    name = found.location
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    outside = not name or ".." in parts or PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).anchor)
    file = path.parent / name
    folders = {path.parent.resolve(), path.resolve().parent}  # a model may be a link, as in the caches of model hubs
    if outside or not any(file.resolve().is_relative_to(folder) for folder in folders):
        raise BadInput(
            f"{path} has tensors in {name or 'a file without a name'}, which is not in its folder — save the model "
            "with its data next to it"
        )
    if not file.is_file():
        raise BadInput(f"{path} has tensors in {name}, which is not next to it — copy both files")
    if given != size or size < 0 or start < 0:
        raise BadInput(f"{path} gives the tensor {tensor.name} {given} bytes in place of {size} — save the model again")
    return file, start, size


def _external_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    return (t for t in _tensors([model.graph, *model.functions]) if uses_external_data(t))


def _tensors(graphs: list[onnx.GraphProto | onnx.FunctionProto]) -> Iterator[onnx.TensorProto]:
    for graph in graphs:
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
                yield from _tensors([*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])])
