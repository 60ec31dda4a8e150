"""Which files of a base model count, and how they are read, in a local directory or below a store's prefix."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

from adapter_contract.documents import parse_object
from adapter_contract.errors import ContractError
from adapter_contract.s3.errors import Corrupted, InvalidLocation, NotFound
from adapter_contract.s3.keys import directory_prefix, join_key
from adapter_contract.s3.rooted import storage_errors
from adapter_contract.s3.store import ObjectStore

CONFIGURATION = "config.json"
SINGLE_WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
_INDEX_LIMIT_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 20

TEMPLATES_DIRECTORY = "additional_chat_templates"
_DOCUMENTS = (
    "config.json", "generation_config.json", WEIGHTS_INDEX, "*processor_config.json",
    "tokenizer*.json", "tokenizer.model*", "*.tiktoken", "*.bpe.model", "spiece.model", "spm.model", "source.spm",
    "target.spm", "sentencepiece.model", "bpe.codes", "tekken.json", "vocab.json", "vocab.txt", "vocab.bpe",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.*", f"{TEMPLATES_DIRECTORY}/*.jinja",
    "quantize_config.json", "hf_quant_config.json",
)  # fmt: skip
"""Configuration, tokenizer, template and quantization files by the names that transformers and quantizers give them.

Files by other names (a licence, a model card, another framework's weights) change no token, so they don't count.
"""

_OTHER_WEIGHTS = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.gguf", "*.ggml", "*.h5", "*.msgpack", "*.onnx", "*.npz")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model as a listing shows it.

    Attributes:
        size_bytes: of the content.
        mark: changes whenever the content may have: inode and times of a local file, or an ETag.

    """

    size_bytes: int
    mark: str


class ModelFiles(Protocol):
    """A base model's files by relative path. Errors are those of a store."""

    uri: str

    def list(self) -> Set[str]:
        """Return the files at the top, and the additional chat templates."""
        ...

    def stat(self, path: str) -> ModelFile:
        """Return size and mark of a file that must be there."""
        ...

    def read(self, path: str, start: int, length: int) -> bytes:
        """Return exactly these bytes."""
        ...

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the whole content, in chunks of a few MiB at most."""
        ...


class LocalModel:
    """A model in a mounted directory. Links are followed: caches of the Hub consist of them."""

    def __init__(self, directory: Path) -> None:
        self.uri = f"file://{directory}/"
        self.directory = directory

    def list(self) -> Set[str]:
        """Return the files at the top, and the additional chat templates."""
        # No other directory is looked into: on a volume of its own, a model has lost+found beside it.
        with storage_errors("look at", self.uri):
            found = [path for path in self.directory.iterdir() if _is_file(path)]
            if (self.directory / TEMPLATES_DIRECTORY).is_dir():
                found += [path for path in (self.directory / TEMPLATES_DIRECTORY).iterdir() if _is_file(path)]
            elif _dangles(self.directory / TEMPLATES_DIRECTORY):
                raise self._dangling("look at", TEMPLATES_DIRECTORY)
        return {path.relative_to(self.directory).as_posix() for path in found}

    def stat(self, path: str) -> ModelFile:
        """Return size and mark of a file that must be there."""
        with self._errors("look at", path):
            status = (self.directory / path).stat()
        # A file that is renamed into place may bring the size, the time and the header of the one before.
        times = f"mtime:{status.st_mtime_ns},ctime:{status.st_ctime_ns}"
        return ModelFile(status.st_size, f"{times},ino:{status.st_ino}")

    def read(self, path: str, start: int, length: int) -> bytes:
        """Return exactly these bytes."""
        with self._errors("read", path), (self.directory / path).open("rb") as stream:
            stream.seek(start)
            data = stream.read(length)
        if len(data) != length:
            raise Corrupted("read", self.uri + path, f"it ends before byte {start + length}", "copy it again")
        return data

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the whole content, in chunks of 1 MiB."""
        with self._errors("read", path), (self.directory / path).open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk

    @contextmanager
    def _errors(self, operation: str, path: str) -> Iterator[None]:
        with storage_errors(operation, self.uri + path):
            try:
                yield
            except FileNotFoundError as error:
                if _dangles(self.directory / path):
                    raise self._dangling(operation, path) from error
                raise

    def _dangling(self, operation: str, path: str) -> NotFound:
        target = (self.directory / path).readlink()
        return NotFound(
            operation,
            self.uri + path,
            f"it is a link to {target}, which is not there",
            "complete the download, and mount the directory with the link's target as well",
        )


def _is_file(path: Path) -> bool:
    """Return whether it counts as a file: also a dangling link, which is refused once its name turns out to matter."""
    return path.is_file() or _dangles(path)


def _dangles(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


class StoredModel:
    """A model below a prefix of an object store."""

    def __init__(self, store: ObjectStore, prefix: str = "") -> None:
        self._prefix = directory_prefix(prefix, store.uri())
        self.uri = store.uri(self._prefix)
        self.store = store

    def key(self, path: str) -> str:
        """Return the key of a path."""
        return join_key(self._prefix, path)

    def list(self) -> Set[str]:
        """Return the files at the top, and the additional chat templates."""
        paths = {found.key.removeprefix(self._prefix) for found in self.store.list_objects(self._prefix)}
        return {
            path for path in paths if path.rpartition("/")[0] in {"", TEMPLATES_DIRECTORY} and not path.endswith("/")
        }

    def stat(self, path: str) -> ModelFile:
        """Return size and mark of a file that must be there."""
        found = self.store.stat(self.key(path))
        return ModelFile(found.size_bytes, f"etag:{found.etag}")

    def read(self, path: str, start: int, length: int) -> bytes:
        """Return exactly these bytes."""
        return self.store.read_range(self.key(path), start, length)

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the whole content, all of one version of it."""
        return self.store.stream(self.key(path))


def document_names(files: Set[str], uri: str) -> list[str]:
    """Return the configuration, tokenizer and template files, sorted.

    Raises:
        NotFound: there is no `config.json`.

    """
    if CONFIGURATION not in files:
        raise NotFound(
            "use the base model", uri, f"it has no {CONFIGURATION}", "point at the directory that holds that file"
        )
    return sorted(name for name in files if any(_matches(name, pattern) for pattern in _DOCUMENTS))


def weight_names(model: ModelFiles, files: Set[str]) -> list[str]:
    """Return the safetensors files with the weights, sorted: whatever a loader may read, so the union.

    `model.safetensors`, and the files that the index lists; where there is neither, all `*.safetensors` at the
    top. Weights in other formats beside them are ignored.

    Raises:
        NotFound: no weights, or a file that the index lists is not there.
        InvalidLocation: weights in other formats only.
        Corrupted: the index is no index.

    """
    names = {SINGLE_WEIGHTS} & files
    if WEIGHTS_INDEX in files:
        names |= _indexed(model)
    names = names or {name for name in files if _matches(name, "*.safetensors")}
    if missing := sorted(names - files):
        raise NotFound("use the base model", model.uri, f"{missing[0]} is listed in {WEIGHTS_INDEX} but is not there",
                       "complete the copy")  # fmt: skip
    if names:
        return sorted(names)
    others = sorted(name for name in files if any(_matches(name, pattern) for pattern in _OTHER_WEIGHTS))
    if others:
        raise InvalidLocation(
            "use the base model", model.uri, f"{others[0]} is no safetensors file, and nothing else is loaded",
            "convert it, for example with save_pretrained of transformers",
        )  # fmt: skip
    raise NotFound("use the base model", model.uri, "it has no weights", "complete the copy")


def _indexed(model: ModelFiles) -> set[str]:
    uri = f"{model.uri}{WEIGHTS_INDEX}"
    size = model.stat(WEIGHTS_INDEX).size_bytes
    if size > _INDEX_LIMIT_BYTES:
        raise Corrupted("read", uri, f"it has {size} bytes, more than {_INDEX_LIMIT_BYTES}", "copy it again")
    try:
        index = parse_object(model.read(WEIGHTS_INDEX, 0, size), limit=_INDEX_LIMIT_BYTES)
    except ContractError as error:
        raise Corrupted("read", uri, "it is no JSON object", "copy it again") from error
    listed = index.get("weight_map")
    values = listed.values() if isinstance(listed, dict) else ()
    names = {name for name in values if isinstance(name, str) and _matches(name, "*.safetensors")}
    if not names or not all(isinstance(name, str) and name in names for name in values):
        raise Corrupted("read", uri, "its weight_map does not name safetensors files beside it", "copy it again")
    return names


def _matches(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)
