"""Mutations of files with a structure: pictures, checkpoints, ONNX files and arrays. Each is taken apart, one part is
changed, and it is put together again with valid lengths and check sums, so that a reader gets past those."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
import zlib
from typing import Any

import numpy as np
import onnx
import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from fuzz.mutate import TEXT, WHOLE, Random, change_bytes, change_tree, odd_value

PNG = b"\x89PNG\r\n\x1a\n"
ZIP = b"PK"


def picture(rng: Random, data: bytes) -> bytes:
    """Another image file. The chunks of a PNG file get valid check sums."""
    if not data.startswith(PNG) or rng.random() < 0.3:
        return change_bytes(rng, data)
    chunks, at = [], len(PNG)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    for _ in range(rng.choice((1, 1, 2))):
        chunk = rng.choice([chunks[0], rng.choice(chunks)])
        what = rng.randrange(6)
        if chunk[0] == b"IHDR" and what < 4:
            width, height, *rest = struct.unpack(">IIBBBBB", chunk[1])
            fields = [width, height, *rest]
            field = rng.randrange(7)
            fields[field] = rng.choice(WHOLE) % 2**32 if field < 2 else rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
            chunk[1] = struct.pack(">IIBBBBB", *fields)
        elif chunk[0] == b"IDAT" and what < 3:
            chunk[1] = zlib.compress(change_bytes(rng, zlib.decompress(chunk[1])))
        elif what == 3:
            chunks.remove(chunk) if len(chunks) > 1 else None
        elif what == 4:
            chunk[0] = rng.choice((b"tRNS", b"PLTE", b"gAMA", b"IDAT", b"IEND", b"acTL", b"iCCP", b"eXIf", b"zzzz"))
        else:
            chunk[1] = change_bytes(rng, chunk[1])[: 2**20]
    made = [PNG]
    for name, content in chunks:
        made.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)))
    return b"".join(made)


def checkpoint(rng: Random, data: bytes) -> bytes:
    """Another checkpoint in the same format: other tensors, other objects beside them, or other bytes of a pickle."""
    if rng.random() < 0.25:
        return change_bytes(rng, data)
    if data.startswith(ZIP):
        if rng.random() < 0.3:
            return _entries(rng, data)
        return _saved(_changed_state(rng, torch.load(io.BytesIO(data), weights_only=True)), True)
    if data[8:9] == b"{":
        return _safetensors(rng, data)
    return _saved(_changed_state(rng, torch.load(io.BytesIO(data), weights_only=True)), False)


def _saved(content: Any, in_zip: bool) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=in_zip)
    return out.getvalue()


def _entries(rng: Random, data: bytes) -> bytes:
    """A zip file with one entry changed, removed or renamed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as made:
        names = source.namelist()
        chosen = rng.choice([n for n in names if n.endswith((".pkl", "version", "byteorder"))] + [rng.choice(names)])
        what = rng.randrange(4)
        for name in names:
            content = source.read(name)
            if name != chosen:
                made.writestr(name, content)
            elif what < 2:
                made.writestr(name, change_bytes(rng, content))
            elif what == 2:
                made.writestr(name + rng.choice(("x", "/y", "\n")), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _changed_state(rng: Random, content: Any) -> Any:
    state = dict(content)
    inside = next((v for v in state.values() if isinstance(v, dict) and v), None)
    if inside is not None and rng.random() < 0.8:
        key = next(k for k, v in state.items() if v is inside)
        return {**state, key: _changed_state(rng, inside)}
    for _ in range(rng.choice((1, 1, 2, 4))):
        name = rng.choice(list(state))
        what, value = rng.randrange(8), state[name]
        if what == 0:
            del state[name]
        elif what == 1:
            state[rng.choice((name + "x", "module." + name, name.rpartition(".")[2], "", "0"))] = state.pop(name)
        elif what == 2:
            state[name] = odd_value(rng)
        elif what == 3:
            state[rng.choice(("epoch", "state_dict", "ema", "model", "optimizer", name + ".x"))] = odd_value(rng)
        elif what == 4:
            state = {rng.choice(("state_dict", "model", "module", "x", "ema")): state}
            break
        elif isinstance(value, torch.Tensor):
            state[name] = _tensor(rng, value)
    return state


def _tensor(rng: Random, value: torch.Tensor) -> torch.Tensor:
    """A tensor of another shape or type, or with other values."""
    made = (
        lambda: value[:0],
        lambda: value[None],
        lambda: value.flatten(),
        lambda: torch.cat([value[None], value[None]]),
        lambda: value.to(rng.choice((torch.float16, torch.float64, torch.int8, torch.bool, torch.complex64))),
        lambda: value * float("nan"),
        lambda: torch.zeros(rng.choice(((), (0,), (3, 0, 2), (1,) * 6, (17, 8, 1, 1), (64, 3, 3, 3)))),
        lambda: torch.zeros(1).expand(rng.choice((10**3, 10**6, 10**12))),
        lambda: value.to_sparse() if value.is_floating_point() and value.ndim else value,
        lambda: torch.empty(5, 5, device="meta"),
    )
    return rng.choice(made)()


def _safetensors(rng: Random, data: bytes) -> bytes:
    """A safetensors file with other tensors, or another header."""
    if rng.random() < 0.5:
        state = _changed_state(rng, load_safetensors(data))
        kept = {str(k): v for k, v in state.items() if isinstance(v, torch.Tensor)}
        try:
            return save_safetensors({k: v.contiguous() for k, v in kept.items()})
        except Exception:  # a type that the format does not have, an empty name
            return change_bytes(rng, data)
    length = int.from_bytes(data[:8], "little")
    header = change_tree(rng, json.loads(data[8 : 8 + length]))
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def onnx_file(rng: Random, data: bytes) -> bytes:
    """Another ONNX file: another description, another field of a message somewhere in it, or other bytes."""
    if rng.random() < 0.2:
        return change_bytes(rng, data)
    model = onnx.load_model_from_string(data)
    if model.metadata_props and rng.random() < 0.5:
        entry = model.metadata_props[0]
        entry.value = json.dumps(change_tree(rng, json.loads(entry.value)))
        return bytes(model.SerializeToString())
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change_message(rng, _some_message(rng, model))
    return bytes(model.SerializeToString())


def _some_message(rng: Random, message: Any) -> Any:
    """A message that is part of another one, at any depth."""
    while True:
        parts = [v for f, v in message.ListFields() if f.message_type is not None]
        if not parts or rng.random() < 0.2:
            return message
        chosen = rng.choice(parts)
        message = rng.choice(chosen) if hasattr(chosen, "append") or hasattr(chosen, "add") else chosen


def _change_message(rng: Random, message: Any) -> None:
    fields = list(message.DESCRIPTOR.fields)
    known = [f for f, _ in message.ListFields()]
    field = rng.choice(known if known and rng.random() < 0.7 else fields)
    value = getattr(message, field.name)
    if hasattr(value, "append") or hasattr(value, "add"):
        what = rng.randrange(3)
        if what == 0 and len(value):
            del value[rng.randrange(len(value))]
        elif what == 1 and len(value):
            value.append(value[rng.randrange(len(value))])
        elif what == 2:
            message.ClearField(field.name)
        return
    if field.message_type is not None or rng.random() < 0.3:
        message.ClearField(field.name)
        return
    made: Any = rng.choice(WHOLE) % 2**31 * rng.choice((1, -1))
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        made = rng.choice([t for t in TEXT if t.isprintable()])
        made = made.encode() if field.type == field.TYPE_BYTES else made
    elif field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        made = rng.choice((0.0, -1.0, float("nan"), 1e38))
    elif field.enum_type is not None:
        made = rng.randrange(25)
    try:
        setattr(message, field.name, made)
    except (ValueError, TypeError):
        message.ClearField(field.name)


def arrays(rng: Random, data: bytes) -> bytes:
    """Another `.npz` file: one array of another type, shape or value, another header of an array, or other bytes."""
    if rng.random() < 0.2:
        return change_bytes(rng, data)
    if rng.random() < 0.3:
        return _entries(rng, data)
    with np.load(io.BytesIO(data)) as saved:
        content: dict[str, Any] = {k: saved[k] for k in saved.files}
    for _ in range(rng.choice((1, 1, 2))):
        if not content:
            break
        name = rng.choice(list(content))
        if name == "meta" and rng.random() < 0.8:
            content[name] = np.array(json.dumps(change_tree(rng, json.loads(str(content[name])))))
            continue
        value = content[name]
        what = rng.randrange(7)
        if what == 0:
            del content[name]
        elif what == 1:
            content[name] = value.astype(rng.choice((np.float64, np.int8, np.bool_, np.complex128, "U4", np.uint64)))
        elif what == 2:
            content[name] = np.zeros(rng.choice(((), (0,), (1, 1), (2, 0), (3, 2, 1))))
        elif what == 3:
            content[name] = value[None] if value.ndim else value.reshape(1)
        elif what == 4 and value.ndim:
            content[name] = value[:-1] if rng.random() < 0.5 else value[..., :-1]
        elif what == 5:
            content[name] = np.array(odd_text(rng))
        elif value.dtype.kind in "if":
            content[name] = np.full_like(value, rng.choice((-1, 0, 127)))
    out = io.BytesIO()
    np.savez_compressed(out, **content)
    return out.getvalue()


def odd_text(rng: random.Random) -> str:
    return rng.choice([t for t in TEXT if t.isprintable()])
