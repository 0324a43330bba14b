"""Read the tensors of a checkpoint file. Nothing in the file is ever executed.

PyTorch files (in the zip format and in the legacy format) are read with `weights_only=True`, safetensors files by their
own library. Training frameworks save objects beside the weights, such as message buffers, configurations and numpy
scalars. These are replaced by inert stand-ins, so the framework need not be installed and none of its code runs.
Declared sizes are compared with the size of the file before memory is allocated.
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import require_file

if TYPE_CHECKING:
    from torch import Tensor

LFS_POINTER = b"version https://git-lfs.github.com/"
PART = re.compile(r"-\d{5}-of-(\d{5})\.")  # in the name of a file of a checkpoint that is spread over several
OTHER_FILES = {  # by their first bytes
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x89HDF": "an HDF5 file, as Keras writes them",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF document",
}
LEGACY_MAGIC = bytes.fromhex("8a0a6cfc9c46f9206aa85019")  # the first bytes of PyTorch's legacy format

# Objects that training frameworks save beside the weights, and those of them that are dictionaries. These are names
# only: nothing of these packages is imported, and `Inert` or `InertMapping` is called in place of the named object.
OBJECTS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "argparse.Namespace",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
    "builtins.getattr",
    "builtins.int",
    "builtins.float",
    "builtins.list",
    "builtins.set",
)
MAPPINGS = (
    "mmengine.config.config.ConfigDict",
    "mmcv.utils.config.ConfigDict",
    "addict.addict.Dict",
    "yacs.config.CfgNode",
    "collections.defaultdict",
    "builtins.dict",
)


class Inert:
    """A stand-in for an object. It accepts any arguments and any state, and ignores them."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class InertMapping:
    """A stand-in for a dictionary type: it gives a plain dictionary."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return OrderedDict()


def read_content(path: Path) -> Any:
    """The content of a `.pth`, `.pt` or `.safetensors` file: tensors by name, mostly inside other dictionaries.

    Raises:
        BadInput: the file is missing, damaged or no checkpoint, would run code, or declares more data than it holds.
        Unavailable: torch or safetensors is not installed.
    """
    require_file(path)
    with path.open("rb") as file:
        start = file.read(512)
    if not start.strip(b"\0"):  # a download may take its room before it has its content
        raise BadInput(f"{path} is empty — the download or copy did not finish, fetch it again")
    _refuse_other_files(start, path)
    if _is_safetensors(start, path):
        return _safetensors(path)
    if start.startswith(b"PK"):
        _check_zip(path)
    elif LEGACY_MAGIC in start[:32]:
        _check_declared_sizes(path)
    elif start.startswith(b"\x80"):
        raise _not_of_pytorch(path)
    else:
        raise BadInput(f"{path} is not a checkpoint — expected a PyTorch file (.pth, .pt) or .safetensors")
    return _torch(path)


def _refuse_other_files(start: bytes, path: Path) -> None:
    """Raises BadInput if the first bytes are those of a file that people often have in place of a checkpoint."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(LFS_POINTER):
        raise BadInput(
            f"{path} is a Git LFS pointer and not the file itself — fetch the file with `git lfs pull`, or download it"
        )
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<!--", b"<meta", b"<body", b"<error")):
        raise BadInput(
            f"{path} is an HTML page, not a checkpoint — the link led to a web page; download the file itself"
        )
    part = PART.search(path.name)
    if path.name.endswith(".index.json") or b'"weight_map"' in text or (part and int(part[1]) > 1):
        what = "one file of a checkpoint that is" if part else "the index of a checkpoint that is"
        raise BadInput(
            f"{path} is {what} spread over several files — join them with two lines of Python: from safetensors.torch "
            "import load_file, save_file; save_file({k: v for name in FILES for k, v in load_file(name).items()}, "
            "'whole.safetensors'), or with torch.load and torch.save for .bin files"
        )
    if text.startswith((b"{", b"[")) and b"\0" not in start[:16]:  # the length before a safetensors header has zeros
        raise BadInput(
            f"{path} is JSON text, such as the error message of a server, not a checkpoint — download the file itself"
        )
    kind = next((kind for magic, kind in OTHER_FILES.items() if start.startswith(magic)), "")
    if kind or start[257:262] == b"ustar":
        raise BadInput(
            f"{path} is {kind or 'a tar archive'}, not a checkpoint — expected a PyTorch file (.pth, .pt) or "
            ".safetensors"
        )


def _is_safetensors(start: bytes, path: Path) -> bool:
    return path.suffix == ".safetensors" or start[8:9] == b"{"


def _safetensors(path: Path) -> dict[str, Tensor]:
    library = need("safetensors", "export")
    torch_part = need("safetensors.torch", "export")
    try:
        return dict(torch_part.load_file(path))
    except (library.SafetensorError, OSError) as error:
        raise BadInput(f"{path} is not a complete safetensors file ({error}) — fetch or save it again") from error


def _check_zip(path: Path) -> None:
    """Raises BadInput unless the file is a complete zip archive that unpacks to no more than its own size.

    PyTorch stores its entries uncompressed, so only a file that was made to exhaust memory unpacks to more.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:  # also for undecodable names
        if not zipfile.is_zipfile(path):
            raise BadInput(
                f"{path} is truncated or damaged: its end is missing, as of a download that did not finish — fetch or "
                "copy it again"
            ) from error
        raise BadInput(f"{path} is truncated or damaged ({error}) — fetch or copy it again") from error
    if any(e.filename.endswith("constants.pkl") for e in entries):
        raise BadInput(
            f"{path} is a TorchScript program, as torch.jit.save writes it, and not a state dict — where it was made, "
            "save the state dict: torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)"
        )
    if not any(e.filename.endswith("data.pkl") for e in entries):
        raise BadInput(f"{path} is a zip archive, but not a PyTorch checkpoint — unpack it, or name the file inside")
    if sum(e.file_size for e in entries) > path.stat().st_size:
        raise _exhausting(path, "more data than it holds")


def _check_declared_sizes(path: Path) -> None:
    """Raises BadInput if a legacy file declares a tensor that is larger than the file.

    The sizes are in the pickles of the file. Their opcodes are parsed and not executed.
    """
    limit = path.stat().st_size
    with path.open("rb") as file:
        try:
            for _ in range(5):  # magic, protocol, system, the object, the list of storages; then raw data
                number = 0
                for opcode, argument, _ in pickletools.genops(file):
                    if isinstance(argument, int) and not opcode.name.endswith(("GET", "PUT")):
                        number = argument
                    elif opcode.name == "BINPERSID" and number > limit:
                        raise _exhausting(path, f"a tensor of {number:,} values in {limit:,} bytes")
        except (ValueError, EOFError, IndexError) as error:
            raise BadInput(f"{path} is truncated or damaged ({error}) — fetch or copy it again") from error


def _not_of_pytorch(path: Path) -> BadInput:
    """The error for a pickle that PyTorch did not write."""
    found = _Pickled.of(path)
    if found.called:
        return _runs_code(path, found)
    return BadInput(
        f"{path} is a pickle, but not one PyTorch wrote — expected a PyTorch file (.pth, .pt) or .safetensors"
    )


@dataclass(frozen=True)
class _Pickled:
    """What a pickle would do. Its opcodes are parsed and not executed.

    Attributes:
        called: the first function or class that it calls and that no state dict needs; empty if there is none.
        key: the key in a dictionary under which that is, such as "model"; empty if it is the whole file.
        module: whether it has the parts of a PyTorch module.
    """

    called: str = ""
    key: str = ""
    module: bool = False

    @classmethod
    def of(cls, path: Path) -> _Pickled:
        """What the pickle in a file would do. One that cannot be read would do nothing."""
        try:
            with path.open("rb") as file:
                if file.read(2) != b"PK":
                    file.seek(0)
                    return cls._parsed(file)
            with zipfile.ZipFile(path) as archive:
                pickles = [n for n in archive.namelist() if n.endswith("data.pkl")]
                return cls._parsed(io.BytesIO(archive.read(pickles[0])))
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, IndexError):
            return cls()

    @classmethod
    def _parsed(cls, file: IO[bytes]) -> _Pickled:
        strings: list[str] = []
        called = key = outer = ""
        try:
            while True:  # a legacy file holds several pickles
                for opcode, argument, _ in pickletools.genops(file):
                    name = ""
                    if opcode.name == "GLOBAL":
                        name = str(argument).replace(" ", ".")
                    elif opcode.name == "STACK_GLOBAL":
                        name = ".".join(strings[-2:])
                    elif isinstance(argument, str):
                        strings.append(argument)
                    if opcode.name not in ("PROTO", "FRAME", "MARK") and not opcode.name.endswith("PUT"):
                        outer = outer or opcode.name
                    if name and not called and _unknown(name):
                        called = re.sub(r"[^\w.]", "?", name)[:80]
                        keys = [s for s in strings[-2:] if s != "module"]  # the legacy format marks classes with it
                        key = keys[-1] if outer == "EMPTY_DICT" and opcode.name == "GLOBAL" and keys else ""
                        key = key if len(key) < 40 else ""
                outer = ""
        except (ValueError, EOFError, IndexError):
            return cls(called, key, {"_modules", "_parameters"} <= set(strings))


def _unknown(name: str) -> bool:
    if name.startswith("torch.nn.") and not name.startswith("torch.nn.parameter."):
        return True
    return name not in (*OBJECTS, *MAPPINGS) and not name.startswith(("torch.", "collections."))


def _runs_code(path: Path, found: _Pickled) -> BadInput:
    if found.module:
        part = f"[{found.key!r}]" if found.key else ""
        new = path.with_name(f"{path.stem}_weights.pth").name
        return BadInput(
            f"{path} is a whole model, saved with torch.save(model), which would run code when opened "
            f"({found.called}); it was not run — if you trust it, save its weights in the project that it "
            "comes from, with three lines of "
            f"Python: import torch; model = torch.load({path.name!r}, map_location='cpu', weights_only=False){part}; "
            f"torch.save(model.state_dict(), {new!r})"
        )
    return BadInput(
        f"{path} is a pickle that would run code when opened ({found.called}); it was not run — ask its author for a "
        "plain state dict (torch.save(model.state_dict(), ...)) or a .safetensors file"
    )


def _torch(path: Path) -> Any:
    torch = need("torch", "export")
    kinds = [(Inert, OBJECTS), (InertMapping, MAPPINGS)]
    stand_ins = [(type(n.rpartition(".")[2], (kind,), {}), n) for kind, names in kinds for n in names]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(stand_ins):
            warnings.simplefilter("ignore")  # about pickle protocols
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises unrelated types, and each of them means that the file is damaged
        found = _Pickled.of(path)
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        if name and not found.module:
            found = _Pickled(name[1])
        if found.called:
            raise _runs_code(path, found) from error
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"{path} is truncated or damaged ({first[:120]}) — fetch or copy it again") from error


def check_size(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises BadInput if the tensors are larger than the file, or if one has no plain values.

    A tensor can be a view that repeats one stored value a billion times, which no file of weights needs.
    """
    if odd := [n for n, t in tensors.items() if str(t.layout) != "torch.strided" or t.is_quantized or t.is_meta]:
        raise BadInput(
            f"{path} has tensors that are sparse, quantized or without values ({', '.join(odd[:3])}) — save the plain "
            "weights of the network"
        )
    if sum(t.numel() * t.element_size() for t in tensors.values()) > 2 * path.stat().st_size:
        raise _exhausting(path, "more data than it holds")


def _exhausting(path: Path, what: str) -> BadInput:
    return BadInput(f"{path} declares {what} — it is damaged or made to exhaust memory; get it from another source")
