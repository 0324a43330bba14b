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
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hrnet_deploy.errors import BadInput, need
from hrnet_deploy.files import require_file

if TYPE_CHECKING:
    from torch import Tensor

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
    if not start:
        raise BadInput(f"{path} is empty — the download or copy did not finish, fetch it again")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise BadInput(
            f"{path} is an HTML page, not a checkpoint — the link led to a web page; download the file itself"
        )
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
        raise BadInput(f"{path} is truncated or damaged ({error}) — fetch or copy it again") from error
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
    with path.open("rb") as file:
        called = _called(file)
    if called:
        return _runs_code(path, called)
    return BadInput(
        f"{path} is a pickle, but not one PyTorch wrote — expected a PyTorch file (.pth, .pt) or .safetensors"
    )


def _called(pickled: IO[bytes]) -> str:
    """The name of the first function or class a pickle calls that no state dict needs; empty if there is none.

    The opcodes are parsed and not executed.
    """
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(pickled):
            name = ""
            if opcode.name == "GLOBAL":
                name = str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                name = ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)
            if name and name not in (*OBJECTS, *MAPPINGS) and not name.startswith(("torch.", "collections.")):
                return name
    except (ValueError, EOFError, IndexError):
        pass
    return ""


def _runs_code(path: Path, name: str) -> BadInput:
    return BadInput(
        f"{path} is a pickle that would run code when opened ({name}); it was not run — ask its author for a plain "
        "state dict (torch.save(model.state_dict(), ...)) or a .safetensors file"
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
        name = re.search(r"GLOBAL ([\w.]+)", str(error))
        called = name[1] if name else _called_in_archive(path)
        if called:
            raise _runs_code(path, called) from error
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(f"{path} is truncated or damaged ({first[:120]}) — fetch or copy it again") from error


def _called_in_archive(path: Path) -> str:
    """`_called` for the pickle in a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [n for n in archive.namelist() if n.endswith("data.pkl")]
            return _called(io.BytesIO(archive.read(pickles[0])))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, IndexError):
        return ""


def check_size(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raises BadInput if the tensors are larger than the file.

    A tensor can be a view that repeats one stored value a billion times, which no file of weights needs.
    """
    if sum(t.numel() * t.element_size() for t in tensors.values()) > 2 * path.stat().st_size:
        raise _exhausting(path, "more data than it holds")


def _exhausting(path: Path, what: str) -> BadInput:
    return BadInput(f"{path} declares {what} — it is damaged or made to exhaust memory; get it from another source")
