"""Which format the examples have, and which columns hold their parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from adapter_contract import DatasetConfig
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.examples.formats.chats import SYSTEM
from adapter_trainer.examples.readers.row import Row

Objective: TypeAlias = Literal["SupervisedFineTuning", "DirectPreferenceOptimization"]

FORMATS: dict[str, tuple[str, ...]] = {
    "Messages": ("messages",),
    "PromptCompletion": ("prompt", "completion"),
    "Text": ("text",),
    "Preference": ("chosen", "rejected"),
}
"""The parts that an example of each format has."""

_OPTIONAL: dict[str, tuple[str, ...]] = {"Preference": ("prompt",)}
_OF_OBJECTIVE: dict[Objective, tuple[str, ...]] = {
    "SupervisedFineTuning": ("Messages", "PromptCompletion", "Text"),
    "DirectPreferenceOptimization": ("Preference",),
}
"""The formats that an objective learns from, in the order in which Auto tries them."""

_SHAREGPT = ("conversations", "conversation")
ALPACA = ("instruction", "input", "output")
_PAIRS = (
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("prompt", "response"),
    ("prompt", "answer"),
    ("prompt", "output"),
    ("instruction", "response"),
    ("input", "output"),
    ("source", "target"),
)
"""Names that prompts and completions often have."""

_PROMPTS = tuple(dict.fromkeys(prompt for prompt, _ in _PAIRS if prompt != "prompt"))
_SHOWN_KEYS, _SHOWN_CHARACTERS = 8, 40


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read.

    Attributes:
        format: of the examples.
        columns: of each part that is read, the column's name.
        because: what was found, and why it is read so; a sentence.
        remark: what else would have fitted, where something does.
    """

    format: str
    columns: Mapping[str, str] = field(hash=False)
    because: str
    remark: str | None = None

    @property
    def alpaca(self) -> bool:
        """Whether conversations are put together from instruction, input and output."""
        return "instruction" in self.columns


def detect(config: DatasetConfig, objective: Objective, first: Row) -> Reading:
    """Decide how rows are read, by the configuration and, where it leaves that open, by the first row.

    Raises:
        BadConfiguration: format, columns and objective don't go together.
        BadData: no format fits the first row.
    """
    named: dict[str, str] = {column.name: column.source for column in config.columns}
    if config.format != "Auto":
        _require_fit(config.format, named, objective)
        return _reading(config.format, named, first, "dataset.format says so")
    possible = [name for name in _OF_OBJECTIVE[objective] if named.keys() <= set(_parts(name))]
    if not possible:
        fitting = " or ".join(_OF_OBJECTIVE[objective])
        raise BadConfiguration(
            f"dataset.columns: {', '.join(named)} are together no parts of format {fitting}, which objective "
            f"{objective} learns from: correct dataset.columns or objective.type"
        )
    fits = [name for name in possible if _has_parts(name, named, first)]
    if not fits:
        raise _no_fit(objective, named, first)
    _require_known_prompt(fits[0], named, first)
    others = [
        f"{', '.join(map(repr, _reading(name, named, first, '').columns.values()))} fit {name}" for name in fits[1:]
    ]
    remark = (
        f"dataset.format: the data is read as {fits[0]}, but {' and '.join(others)} as well: set dataset.format to "
        "say which is meant"
    )
    return _reading(fits[0], named, first, "the first row has them", remark if others else None)


def _parts(name: str) -> tuple[str, ...]:
    return (*FORMATS[name], *_OPTIONAL.get(name, ()))


def _require_fit(name: str, named: Mapping[str, str], objective: Objective) -> None:
    if name not in _OF_OBJECTIVE[objective]:
        fitting = ", ".join(_OF_OBJECTIVE[objective])
        hint = (
            "; to learn the chosen answers alone, set it to PromptCompletion with dataset.columns "
            "[{name: completion, from: chosen}]"
            if name == "Preference"
            else ""
        )
        raise BadConfiguration(
            f"dataset.format: objective {objective} learns from {fitting}, not from {name}: change one of the two{hint}"
        )
    for part in named:
        if part not in _parts(name):
            raise BadConfiguration(
                f"dataset.columns: {part} is no part of format {name} ({', '.join(_parts(name))}): "
                "remove it, or set dataset.format"
            )


def _has_parts(name: str, named: Mapping[str, str], row: Row) -> bool:
    if all(named.get(part, part) in row.value for part in FORMATS[name]):
        return True
    return name == "Messages" and not named and (_sharegpt(row) is not None or _is_alpaca(row))


def _sharegpt(row: Row) -> str | None:
    return next((key for key in _SHAREGPT if isinstance(row.value.get(key), list | str)), None)


def _is_alpaca(row: Row) -> bool:
    return "instruction" in row.value and "output" in row.value


def _reading(name: str, named: Mapping[str, str], row: Row, why: str, remark: str | None = None) -> Reading:
    columns = {part: named.get(part, part) for part in FORMATS[name]}
    if name == "Messages" and not named and "messages" not in row.value:
        sharegpt = _sharegpt(row)
        if sharegpt:
            because = (
                f"Messages from {sharegpt!r}: from and value are read as role and content (human is user, gpt is "
                "assistant)"
            )
            return _made(name, {"messages": sharegpt}, because, row, remark)
        if _is_alpaca(row):
            because = (
                "Messages from 'instruction', 'input' and 'output': the user's message is the instruction, then a "
                "blank line and the input where there is one; the assistant's is the output"
            )
            return _made(name, {key: key for key in ALPACA}, because, row, remark)
    for part in _OPTIONAL.get(name, ()):
        if part in named or part in row.value:
            columns[part] = named.get(part, part)
    shown = " and ".join(
        repr(column) if part == column else f"{column!r} (as {part})" for part, column in columns.items()
    )
    return _made(name, columns, f"{name} from {shown}: {why}", row, remark)


def _made(name: str, columns: Mapping[str, str], because: str, row: Row, remark: str | None) -> Reading:
    read = {*columns.values(), *((SYSTEM,) if name == "Messages" else ())}
    unread = [repr(key)[:_SHOWN_CHARACTERS] for key in row.value if key not in read]
    more = f" and {len(unread) - _SHOWN_KEYS} more" if len(unread) > _SHOWN_KEYS else ""
    return Reading(
        name, columns, because + (f"; not read: {', '.join(unread[:_SHOWN_KEYS])}{more}" if unread else ""), remark
    )


def _require_known_prompt(name: str, named: Mapping[str, str], row: Row) -> None:
    """Refuse to take texts for whole answers where another column looks like their prompt."""
    chosen = row.value.get(named.get("chosen", "chosen"))
    if name != "Preference" or "prompt" in named or "prompt" in row.value or not isinstance(chosen, str):
        return
    likely = next((key for key in _PROMPTS if key in row.value and key not in named.values()), None)
    if likely:
        raise BadData(
            f"{row.where}: there is no 'prompt' that 'chosen' and 'rejected' answer, but {likely!r}: name it in "
            f"dataset.columns [{{name: prompt, from: {likely}}}], or set dataset.format to Preference if they hold "
            "their prompt"
        )


def _no_fit(objective: Objective, named: Mapping[str, str], row: Row) -> BadData:
    found = ", ".join(repr(key)[:_SHOWN_CHARACTERS] for key in list(row.value)[:_SHOWN_KEYS]) or "none"
    if objective == "DirectPreferenceOptimization":
        return BadData(
            f"{row.where}: the keys ({found}) hold no preferences, which objective DirectPreferenceOptimization learns "
            "from; give 'chosen' and 'rejected' (with 'prompt', unless both begin with it), or name them in "
            "dataset.columns"
        )
    if {"chosen", "rejected"} <= row.value.keys():
        return BadData(
            f"{row.where} holds preferences (chosen and rejected), which objective SupervisedFineTuning can't learn "
            "from: set objective.type to DirectPreferenceOptimization, or learn the chosen answers alone with "
            "dataset.columns [{name: completion, from: chosen}]"
        )
    pair = next((pair for pair in _PAIRS if set(pair) <= row.value.keys()), None) if not named else None
    if pair:
        columns = [
            f"{{name: {part}, from: {column}}}" for part, column in zip(FORMATS["PromptCompletion"], pair, strict=True)
        ]
        fix = f"set dataset.columns to [{', '.join(columns)}] if that is what they are"
    else:
        fix = "give 'messages', or 'prompt' and 'completion', or 'text', or name them in dataset.columns"
    return BadData(f"{row.where}: the keys ({found}) fit no format; {fix}")
