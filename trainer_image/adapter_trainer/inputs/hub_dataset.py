"""Which files of a dataset repository make up a subset and a split: pure.

First the dataset card decides: the field `configs` of its metadata names the files of each subset and split
(https://huggingface.co/docs/hub/datasets-manual-configuration). Without it, names do: a subset is a directory, and a
split stands in the names of files or directories
(https://huggingface.co/docs/hub/datasets-file-names-and-splits). Loading scripts are programs, and are never run.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.inputs.data_files import DataFiles, data_files

CARD = "README.md"
_DEFAULT_SPLIT = "train"
_DEFAULT_SUBSET = "default"

_KEYWORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF_KEYWORD = {word: split for split, words in _KEYWORDS.items() for word in words}
_SHARD = re.compile(r"(?P<split>\w+(?:\.\w+)*)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?\.\w+")
_NOT_LETTERS = re.compile(r"[^A-Za-z]+")
_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(?P<metadata>.*?\r?\n)---[ \t]*(?:\r?\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a repository is asked for.

    Attributes:
        where: the repository, for messages.
        field: of the configuration, for messages.
        subset, split: as configured; None for what the repository offers without being asked.
    """

    where: str
    field: str
    subset: str | None
    split: str | None

    def refusal(self, name: str, what: str, offered: Iterable[str]) -> BadConfiguration:
        """Return the error for a subset or split that the repository doesn't have, or that has to be chosen."""
        found = ", ".join(sorted(offered)[:20])
        fix = f"set {name} to one of: {found}" if found else f"remove {name}"
        return BadConfiguration(f"{self.field}.{name}: {self.where} {what}; {fix}")


def select_files(paths: Iterable[str], card: bytes | None, wanted: Wanted) -> DataFiles:
    """Return the data files of the subset and split that are asked for.

    Args:
        paths: of all files of the repository.
        card: the bytes of its dataset card, if it has one.
        wanted: what is asked for.

    Raises:
        BadConfiguration: there is no such subset or split, it has to be chosen, or the files can't be read.
        BadData: the card's metadata can't be used.
    """
    files = sorted(paths)
    configs = _configs(card, wanted)
    if not configs:
        _refuse_script(files, wanted)
    splits = _by_card(configs, files, wanted) if configs else _by_names(_subset_directory(files, wanted), wanted)
    chosen = _chosen_split(splits, wanted)
    return data_files(splits[chosen], f"split {chosen} of {wanted.where}", wanted.field)


def _refuse_script(files: Sequence[str], wanted: Wanted) -> None:
    name = wanted.where.partition("@")[0].rpartition("/")[2]
    if f"{name}.py" in files:
        raise BadConfiguration(
            f"{wanted.field}: {wanted.where} is made by the loading script {name}.py, and scripts are never run; "
            "choose a revision that holds data files (many repositories have one at refs/convert/parquet), or copy the "
            "examples to S3 or a volume"
        )


def _chosen_split(splits: Mapping[str, Sequence[str]], wanted: Wanted) -> str:
    if wanted.split is not None:
        split = wanted.split if wanted.split in splits else _SPLIT_OF_KEYWORD.get(wanted.split, wanted.split)
        if split not in splits:
            raise wanted.refusal("split", f"has no split {wanted.split}", splits)
        return split
    if _DEFAULT_SPLIT in splits:
        return _DEFAULT_SPLIT
    if len(splits) == 1:
        return next(iter(splits))
    raise wanted.refusal("split", f"has no split {_DEFAULT_SPLIT}", splits)


def _configs(card: bytes | None, wanted: Wanted) -> list[dict[str, Any]]:
    """Return the subsets that the card's metadata defines."""
    match = _FRONT_MATTER.match((card or b"").decode("utf-8", "replace"))
    if match is None:
        return []
    where = f"{wanted.field}: the metadata in {CARD} of {wanted.where}"
    try:
        metadata = yaml.safe_load(match["metadata"])
    except (yaml.YAMLError, RecursionError) as error:
        raise BadData(f"{where} is no YAML: correct it, or choose another revision") from error
    configs = metadata.get("configs") if isinstance(metadata, dict) else None
    if configs is None:
        return []
    if not isinstance(configs, list) or not all(isinstance(one, dict) for one in configs):
        raise BadData(f"{where}: configs must be a list of objects; correct it, or choose another revision")
    # An entry that names no files only passes parameters to a loader.
    return [one for one in configs if one.get("data_files") is not None or one.get("data_dir") is not None]


def _by_card(configs: Sequence[Mapping[str, Any]], files: Sequence[str], wanted: Wanted) -> Mapping[str, Sequence[str]]:
    config = _chosen_config({_name(config): config for config in configs}, wanted)
    directory = config.get("data_dir")
    below = "" if directory is None else f"{str(directory).strip('./')}/"
    if config.get("data_files") is None:
        return _by_names([path for path in files if path.startswith(below)], wanted)
    found: dict[str, list[str]] = {}
    for split, pattern in _patterns(config["data_files"], wanted):
        expression = _expression(below + pattern.removeprefix("./"), wanted)
        matching = [path for path in files if expression.fullmatch(path)]
        if not matching:
            raise BadData(
                f"{wanted.field}: {CARD} of {wanted.where} names {pattern!r} for split {split}, and no file is so "
                "called; choose another revision, subset or split"
            )
        found.setdefault(split, []).extend(path for path in matching if path not in found.get(split, ()))
    return found


def _name(config: Mapping[str, Any]) -> str:
    return str(config.get("config_name", _DEFAULT_SUBSET))


def _chosen_config(configs: Mapping[str, Mapping[str, Any]], wanted: Wanted) -> Mapping[str, Any]:
    if wanted.subset is not None:
        if wanted.subset not in configs:
            raise wanted.refusal("subset", f"has no subset {wanted.subset}", configs)
        return configs[wanted.subset]
    marked = [config for config in configs.values() if config.get("default") is True]
    if len(marked) == 1:
        return marked[0]
    if _DEFAULT_SUBSET in configs:
        return configs[_DEFAULT_SUBSET]
    if len(configs) == 1:
        return next(iter(configs.values()))
    raise wanted.refusal("subset", "has several subsets", configs)


def _patterns(data_files: object, wanted: Wanted) -> list[tuple[str, str]]:
    """Return pairs of a split and a pattern of paths, from any of the forms that the field may have."""
    if isinstance(data_files, str):
        return [(_DEFAULT_SPLIT, data_files)]
    if isinstance(data_files, dict):
        return [(str(split), pattern) for split, paths in data_files.items() for pattern in _texts(paths, wanted)]
    found: list[tuple[str, str]] = []
    for entry in data_files if isinstance(data_files, list) else ():
        if isinstance(entry, dict):
            found += [(str(entry.get("split", _DEFAULT_SPLIT)), one) for one in _texts(entry.get("path"), wanted)]
        else:
            found += [(_DEFAULT_SPLIT, one) for one in _texts(entry, wanted)]
    if not found:
        raise _bad_data_files(wanted)
    return found


def _texts(paths: object, wanted: Wanted) -> list[str]:
    given = paths if isinstance(paths, list) else [paths]
    texts = [text for text in given if isinstance(text, str) and text]
    if not texts or len(texts) != len(given):
        raise _bad_data_files(wanted)
    return texts


def _bad_data_files(wanted: Wanted) -> BadData:
    return BadData(
        f"{wanted.field}: {CARD} of {wanted.where}: configs.data_files must name paths below the repository; "
        "correct it, or choose another revision"
    )


def _expression(pattern: str, wanted: Wanted) -> re.Pattern[str]:
    """Return the expression of a pattern in which * stays within a directory, and ** does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", pattern)
    meaning = {"**/": r"(?:[^/]+/)*", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    written = [meaning.get(part) or (_set(part) if part.startswith("[") else re.escape(part)) for part in parts]
    try:
        return re.compile("".join(written))
    except re.error as error:
        raise BadData(
            f"{wanted.field}: {CARD} of {wanted.where} has {pattern!r}, which is no pattern of file names ({error}): "
            "choose another revision"
        ) from error


def _set(part: str) -> str:
    if len(part) < 3 or not part.endswith("]"):
        return re.escape(part)
    inside = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
    return f"[^{inside[1:]}]" if inside[0] in "!^" and len(inside) > 1 else f"[{inside}]"


def _subset_directory(files: Sequence[str], wanted: Wanted) -> Sequence[str]:
    """Return the files of a subset that only its directory defines."""
    if wanted.subset in {None, _DEFAULT_SUBSET}:
        return files
    below = [path for path in files if path.startswith((f"{wanted.subset}/", f"data/{wanted.subset}/"))]
    if not below:
        directories = {path.partition("/")[0] for path in files if "/" in path}
        raise wanted.refusal("subset", f"has no subset {wanted.subset}, nor a directory of that name", directories)
    return below


def _by_names(files: Sequence[str], wanted: Wanted) -> Mapping[str, Sequence[str]]:
    """Divide files by the splits that stand in their names; where there are none, all are the one split."""
    data = data_files(files, wanted.where, wanted.field, mixed=True).paths
    for split_of in (_shard_split, _keyword_split):
        found: dict[str, list[str]] = {}
        for path in data:
            if split := split_of(path):
                found.setdefault(split, []).append(path)
        if found:
            return found
    return {_DEFAULT_SPLIT: data}


def _shard_split(path: str) -> str | None:
    match = _SHARD.fullmatch(path.rpartition("/")[2])
    return match["split"] if match else None


def _keyword_split(path: str) -> str | None:
    """Return the split whose word stands in the file's name, else in that of the nearest directory."""
    for name in reversed(path.split("/")):
        for word in _NOT_LETTERS.split(name.rpartition(".")[0] or name):
            if split := _SPLIT_OF_KEYWORD.get(word.lower()):
                return split
    return None
