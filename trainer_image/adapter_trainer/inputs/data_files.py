"""Which files below a prefix, a directory or a repository are the examples: pure, by their names."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from adapter_trainer.errors import BadConfiguration
from adapter_trainer.examples.readers.files import DATA_SUFFIXES, is_data_file, suffix_of_data

_COMPRESSED = {".bz2": "bunzip2", ".gz": "gunzip", ".lz4": "lz4 -d", ".xz": "unxz", ".zip": "unzip", ".zst": "unzstd"}
"""Suffixes of compressed files, and what decompresses them."""

_OTHER_FORMATS = frozenset(
    {".7z", ".arrow", ".avro", ".feather", ".npz", ".orc", ".pkl", ".pt", ".tar", ".tgz", ".xlsx"}
)

_DESCRIPTIONS = frozenset(
    {"dataset_dict.json", "dataset_info.json", "dataset_infos.json", "metadata.json", "schema.json", "state.json"}
)
"""Files of JSON that tools lay beside data to describe them."""

_SAME_TYPE = {".ndjson": ".jsonl"}

_MAGIC = (
    (b"\x1f\x8b", ".gz"), (b"BZh", ".bz2"), (b"\xfd7zXZ\x00", ".xz"), (b"\x28\xb5\x2f\xfd", ".zst"),
    (b"PK\x03\x04", ".zip"), (b"\x04\x22\x4d\x18", ".lz4"),
)  # fmt: skip
MAGIC_BYTES = max(len(magic) for magic, _ in _MAGIC)
"""How many of a file's first bytes tell whether it is compressed."""


@dataclass(frozen=True, slots=True)
class DataFiles:
    """Files with examples, all of one type.

    Attributes:
        paths: sorted.
        left_out: the others, which are no examples.
    """

    paths: tuple[str, ...]
    left_out: tuple[str, ...]


def data_files(paths: Iterable[str], where: str, field: str, *, mixed: bool = False) -> DataFiles:
    """Tell the files with examples from the others, by their names.

    Names with a dot or an underscore before them, also of a directory, are not data: the kubelet's versions of a
    config map, tools' temporary files and marks. No file with examples is left out in silence: where one is compressed,
    or there are several types, that is refused.

    Args:
        paths: relative, of all files.
        where: they are, for messages.
        field: of the configuration, for messages.
        mixed: whether several types may be among them, since a choice follows.

    Raises:
        BadConfiguration: naming the file, and what to do.
    """
    found = sorted(paths, key=str.encode)
    data = tuple(path for path in found if _is_visible(path) and _is_data(path))
    for path in found:
        if _is_visible(path):
            require_uncompressed(path, where, field)
    by_type: dict[str, str] = {}
    for path in data:
        suffix = suffix_of_data(path)
        by_type.setdefault(_SAME_TYPE.get(suffix, suffix), path)
    if len(by_type) > 1 and not mixed:
        raise BadConfiguration(
            f"{field}: {where} holds files of several types ({', '.join(sorted(by_type.values()))}): name the file, or "
            "keep one type below a prefix"
        )
    if not data:
        _refuse_other_formats(found, where, field)
    kept = set(data)
    return DataFiles(data, tuple(path for path in found if path not in kept))


def require_uncompressed(path: str, where: str, field: str) -> None:
    """Refuse a file that is compressed data by its name.

    Raises:
        BadConfiguration: naming the file, and what decompresses it.
    """
    name = PurePosixPath(path)
    suffix = name.suffix.lower()
    if suffix in _COMPRESSED and is_data_file(name.stem):
        raise BadConfiguration(
            f"{field}: {path} of {where} is compressed: decompress it ({_COMPRESSED[suffix]}), or write Parquet, which "
            "compresses inside"
        )


def require_readable_name(name: str, field: str) -> None:
    """Refuse a file that is named as the one with the examples, and is of a type that can't be read.

    Raises:
        BadConfiguration: naming the file.
    """
    suffix = suffix_of_data(name)
    if suffix == "" or suffix in DATA_SUFFIXES:
        return
    if suffix in _COMPRESSED:
        raise BadConfiguration(
            f"{field}: {name} is compressed: decompress it ({_COMPRESSED[suffix]}), or write Parquet, which compresses "
            "inside"
        )
    raise BadConfiguration(f"{field}: {name} is of a type that can't be read: write the examples as {_READABLE}")


def compression_of(beginning: bytes) -> str | None:
    """Return the program that decompresses a file, by its first bytes; None where it is not compressed."""
    suffix = next((suffix for magic, suffix in _MAGIC if beginning.startswith(magic)), None)
    return None if suffix is None else _COMPRESSED[suffix]


_READABLE = ", ".join(f"*{suffix}" for suffix in DATA_SUFFIXES)


def _is_visible(path: str) -> bool:
    return not any(part.startswith((".", "_")) for part in path.split("/"))


def _is_data(path: str) -> bool:
    return is_data_file(path) and PurePosixPath(path).name not in _DESCRIPTIONS


def _refuse_other_formats(paths: Iterable[str], where: str, field: str) -> None:
    for path in paths:
        if _is_visible(path) and suffix_of_data(path) in _OTHER_FORMATS | _COMPRESSED.keys():
            raise BadConfiguration(
                f"{field}: {path} of {where} is of a type that can't be read: write the examples as {_READABLE}"
            )
