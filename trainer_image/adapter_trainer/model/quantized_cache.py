"""Quantized base models, kept beside the model for the next run: quantizing takes seconds to minutes each time.

An entry is a directory of safetensors and JSON files, and `entry.json`, which says what they were made of and what
their digests are. It is found by what it is made of: base digest, quantization, kind of the files, versions of the
libraries. It appears whole or not at all, and one that is cut or damaged is made anew, so several pods may share a
volume, and one may die while it writes. As with the cached digests of a model's files, who may write beside a model is
trusted.

Only a mounted model has a cache. One that was downloaded lies in the pod's scratch volume, which ends with the pod.
"""

import errno
import importlib.metadata
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from adapter_contract import Digest, Quantization
from adapter_contract.canonical import canonical_json
from adapter_contract.digests import sha256_bytes, sha256_file
from adapter_contract.documents import Part
from adapter_contract.s3.atomic import new_directory, temporary_name

DIRECTORY_NAME = ".adapter-quantized"
"""Hidden, and a directory: neither the base digest nor a loader looks into it."""

_ENTRY = "entry.json"
_ENTRY_LIMIT_BYTES = 1 << 20
_WEIGHTS = "weights.safetensors"
_LIBRARIES = ("bitsandbytes", "torch", "transformers")
_TYPES = {torch.bfloat16: "BF16", torch.float32: "F32"}
_KEPT_ENTRIES = 4
_ABANDONED_SECONDS = 24 * 3600
_NO_PLACE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
"""Many models are mounted read-only, which is as it should be."""

_log = logging.getLogger(__name__)


class MadeOf(Part):
    """What an entry is made of: equal means equal weights.

    Attributes:
        base_digest: of the base model.
        quantization: how the weights are held.
        kind: `Rounded` are the linear layers' weights in the compute type; `Packed` is a whole model in bitsandbytes'
            layers.
        processor: its instructions, which decide how sums are rounded.
        libraries: their versions.
    """

    base_digest: Digest
    quantization: Quantization
    kind: Literal["Rounded", "Packed"]
    processor: str
    libraries: dict[str, str]


class _Entry(Part):
    made_of: MadeOf
    files: dict[str, Digest]


@dataclass(frozen=True, slots=True)
class QuantizedCache:
    """The quantized weights of one base model, beside it.

    Attributes:
        place: the directory with the entries, which need not be there.
        base_digest: of the base model as it is now.
    """

    place: Path
    base_digest: Digest

    @classmethod
    def beside(cls, directory: Path, base_digest: Digest) -> "QuantizedCache":
        """Return the cache of the model in a directory."""
        return cls(directory / DIRECTORY_NAME, base_digest)

    def made_of(self, quantization: Quantization, kind: Literal["Rounded", "Packed"]) -> MadeOf:
        """Return what an entry has to be made of to be used by this process."""
        processor = torch.backends.cpu.get_cpu_capability() if kind == "Rounded" else ""
        return MadeOf(
            base_digest=self.base_digest,
            quantization=quantization,
            kind=kind,
            processor=processor,
            libraries=_versions(),
        )

    def find(self, made_of: MadeOf) -> Path | None:
        """Return the directory of an entry, every byte of it as it was written; a damaged one is taken away."""
        entry = self._path(made_of)
        try:
            if not entry.is_dir():
                return None
            _verify(entry, made_of)
        except (OSError, ValueError) as error:
            self.discard(made_of, str(error))
            return None
        return entry

    def discard(self, made_of: MadeOf, reason: str) -> None:
        """Take an entry away that can't be used."""
        entry = self._path(made_of)
        _log.warning("the quantized base model in %s can't be used and is made anew: %s", entry, reason)
        _remove(entry)

    def keep(self, made_of: MadeOf, write: Callable[[Path], None], size_bytes: int) -> None:
        """Keep an entry; that it can't be kept is no error.

        Args:
            made_of: what it is made of.
            write: writes its files into a directory.
            size_bytes: about what they need. A volume is not filled up: as much must stay free.
        """
        entry = self._path(made_of)
        try:
            self.place.mkdir(exist_ok=True)
            if (free := shutil.disk_usage(self.place).free) < 2 * size_bytes:
                _log.info("the quantized base model, %d bytes, isn't kept: %d bytes are free", size_bytes, free)
                return
            with new_directory(entry) as scratch:
                write(scratch)
                _seal(scratch, made_of)
            self._tidy(made_of)
        # Whatever the libraries can't write is no reason not to train.
        except (OSError, SafetensorError, RuntimeError, ValueError) as error:
            if entry.is_dir():
                _log.info("the quantized base model is kept in %s already: another run was faster", entry)
                return
            level = logging.INFO if getattr(error, "errno", None) in _NO_PLACE else logging.WARNING
            _log.log(level, "the quantized base model can't be kept in %s: %s", self.place, error)
        else:
            _log.info("the quantized base model is kept in %s for the next run", entry)

    def _path(self, made_of: MadeOf) -> Path:
        return self.place / sha256_bytes(_canonical(made_of)).removeprefix("sha256:")[:32]

    def _tidy(self, newest: MadeOf) -> None:
        """Remove entries of an earlier model or other versions, the oldest of too many, and what was never finished."""
        now = time.time()
        kept: list[tuple[float, Path]] = []
        for path in self.place.iterdir():
            if ".tmp-" in path.name:
                if now - path.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)
                continue
            try:
                made_of = _read(path).made_of
            except (OSError, ValueError):
                continue  # not one of ours, or one that a later version wrote
            if (made_of.base_digest, made_of.libraries) == (newest.base_digest, newest.libraries):
                kept.append((path.stat().st_mtime, path))
            else:
                _remove(path)
        for _, path in sorted(kept)[:-_KEPT_ENTRIES]:
            _remove(path)


def write_weights(layers: Mapping[str, nn.Linear]) -> Callable[[Path], None]:
    """Return what writes the weights of layers into an entry."""

    def write(entry: Path) -> None:
        save_file({name: layer.weight.data.contiguous() for name, layer in layers.items()}, entry / _WEIGHTS)

    return write


def read_weights(entry: Path, layers: Mapping[str, nn.Linear]) -> None:
    """Give layers their weights of an entry, one after the other.

    Raises:
        ValueError: they are not weights of these layers; no layer was changed.
        OSError, SafetensorError: a file can't be read; some layers have their weights, the others are unchanged.
    """
    # Each is copied into memory of its own, where PyTorch would have put it: how it lies in memory can decide which
    # instructions compute with it. A mapped file would also be read again and again where memory is short.
    with safe_open(entry / _WEIGHTS, framework="pt", backend="pread") as weights:
        if set(weights.keys()) != set(layers):
            raise ValueError(f"{_WEIGHTS} has the weights of other layers")
        for name, layer in layers.items():
            found = weights.get_slice(name)
            if (found.get_shape(), found.get_dtype()) != (list(layer.weight.shape), _TYPES[layer.weight.dtype]):
                raise ValueError(f"{name} has another shape or type")
        for name, layer in layers.items():
            layer.weight.data = torch.empty_like(layer.weight.data).copy_(weights.get_tensor(name))


def _versions() -> dict[str, str]:
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _seal(entry: Path, made_of: MadeOf) -> None:
    """Synchronize the files of a new entry, and write down their digests."""
    files = {path.name: sha256_file(path) for path in sorted(entry.iterdir())}
    (entry / _ENTRY).write_bytes(_canonical(_Entry(made_of=made_of, files=files)))
    readable = stat.S_IMODE((entry / _ENTRY).stat().st_mode)
    for name in (*files, _ENTRY):
        (entry / name).chmod(readable)  # safetensors writes for the owner alone, but pods have users of their own
        descriptor = os.open(entry / name, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(entry: Path) -> _Entry:
    path = entry / _ENTRY
    _require_file(path)
    with path.open("rb") as stream:
        data = stream.read(_ENTRY_LIMIT_BYTES)
    try:
        return _Entry.model_validate_json(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise ValueError(f"{_ENTRY} is damaged") from error


def _verify(entry: Path, made_of: MadeOf) -> None:
    """Check an entry.

    Raises:
        ValueError: it is made of something else, or a file is missing, has changed or is not its own.
        OSError: it can't be read.
    """
    told = _read(entry)
    if told.made_of != made_of:
        raise ValueError("it is made of something else")
    if {path.name for path in entry.iterdir()} != {*told.files, _ENTRY}:
        raise ValueError("it has other files than it should")
    for name, digest in told.files.items():
        _require_file(entry / name)
        if sha256_file(entry / name) != digest:
            raise ValueError(f"{name} has changed")


def _require_file(path: Path) -> None:
    if path.is_symlink() or not path.is_file():  # a pipe would be waited for
        raise ValueError(f"{path.name} is no plain file")


def _canonical(part: Part) -> bytes:
    return canonical_json(part.model_dump(mode="json", by_alias=True, exclude_none=True))


def _remove(entry: Path) -> None:
    """Take an entry away, at once for those who look for it; where that can't be, it is left as it is."""
    away = entry.with_name(temporary_name(entry.name))
    try:
        entry.rename(away)
    except OSError as error:
        _log.info("%s can't be removed: %s", entry, error)
        return
    shutil.rmtree(away, ignore_errors=True)
