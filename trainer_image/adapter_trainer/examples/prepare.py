"""From files to the examples of a run: read, label, drop what can't be learned from, hold out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from adapter_contract import (
    Digest,
    NotCanonical,
    SourceHoldout,
    SupervisedFineTuning,
    TrainerConfig,
    as_decimal,
    sha256_json,
)
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.examples.example import Example
from adapter_trainer.examples.formats import Content, RowReader
from adapter_trainer.examples.holdout import held_out
from adapter_trainer.examples.json_lines import Row, read_rows
from adapter_trainer.examples.labelling import Labeller


@dataclass(frozen=True, slots=True)
class PreparedExamples:
    """What a run learns from and is measured on.

    Attributes:
        training, evaluation: examples, in the order of the files; those held out by percent in that of their digests.
        dropped: how many rows could not be learned from.
        tokens, labelled_tokens: of one pass over the training examples.
        evaluation_digest: of what the held-out examples say, in order: equal digests make metrics comparable.
        detected_format: the format that was read.
        warnings: sentences for people.
    """

    training: tuple[Example, ...]
    evaluation: tuple[Example, ...]
    dropped: int
    tokens: int
    labelled_tokens: int
    evaluation_digest: Digest | None
    detected_format: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Labelled:
    content: Content
    examples: list[Example]
    digest: Digest


def prepare_examples(
    training: Sequence[Path],
    evaluation: Sequence[Path] | None,
    tokenizer: PreTrainedTokenizerBase,
    config: TrainerConfig,
) -> PreparedExamples:
    """Read, label and divide the examples of a run.

    Args:
        training: files of JSON Lines, in order.
        evaluation: files to evaluate on, of the same format, where the configuration names a source.
        tokenizer: of the base model.
        config: of the run.

    Raises:
        BadConfiguration: this release can't do what the configuration asks for.
        BadData: what is wrong, by file and line.
    """
    labeller = _labeller(tokenizer, config)
    reader = _reader(training, config)
    if reader.format == "Messages":
        labeller.require_template()
    rows, dropped = _usable(training, reader, labeller, config, field="dataset")
    held: list[_Labelled] = []
    holdout = config.evaluation.holdout if config.evaluation else None
    if isinstance(holdout, SourceHoldout):
        held, unusable = _usable(evaluation or (), reader, labeller, config, field="evaluation.holdout.source")
        dropped += unusable
    elif holdout is not None:
        positions = held_out([row.digest for row in rows], holdout.percent)
        held = [rows[position] for position in positions]
        chosen = set(positions)
        rows = [row for position, row in enumerate(rows) if position not in chosen]
    learned = _examples(rows)
    return PreparedExamples(
        training=learned,
        evaluation=_examples(held),
        dropped=dropped,
        tokens=sum(len(example.tokens) for example in learned),
        labelled_tokens=sum(example.labelled_tokens for example in learned),
        evaluation_digest=sha256_json([row.content.as_json() for row in held]) if held else None,
        detected_format=reader.format,
        warnings=tuple(_warnings(labeller, dropped)),
    )


def _labeller(tokenizer: PreTrainedTokenizerBase, config: TrainerConfig) -> Labeller:
    if not isinstance(config.objective, SupervisedFineTuning):
        raise BadConfiguration(f"objective.type: this release can't train {config.objective.type} yet")
    return Labeller(tokenizer, config.objective.loss_on, config.hyperparameters.max_sequence_length)


def _rows(files: Sequence[Path]) -> Iterator[Row]:
    for path in files:
        yield from read_rows(path)


def _names(files: Sequence[Path]) -> str:
    return ", ".join(path.name for path in files[:8]) or "no file"


def _reader(files: Sequence[Path], config: TrainerConfig) -> RowReader:
    first = next(_rows(files), None)
    if first is None:
        raise BadData(f"dataset: there is no example in it ({_names(files)})")
    return RowReader(config.dataset, first)


def _usable(
    files: Sequence[Path], reader: RowReader, labeller: Labeller, config: TrainerConfig, *, field: str
) -> tuple[list[_Labelled], int]:
    """Return the rows that can be learned from, and how many can't."""
    rows: list[_Labelled] = []
    unusable: list[str] = []
    for row in _rows(files):
        content = reader.read(row)
        digest = _digest(content, row)
        examples = labeller.label(content, row.where)
        if examples:
            rows.append(_Labelled(content, examples, digest))
        else:
            unusable.append(row.where)
    if unusable:
        _judge(unusable, len(rows) + len(unusable), config)
    if not rows:
        raise BadData(f"{field}: there is no example in it that can be learned from ({_names(files)})")
    return rows, len(unusable)


def _digest(content: Content, row: Row) -> Digest:
    try:
        return sha256_json(content.as_json())
    except NotCanonical as error:
        raise BadData(f"{row.where} holds text that is not Unicode (a lone surrogate): correct the escape") from error


def _judge(unusable: list[str], total: int, config: TrainerConfig) -> None:
    rule = config.dataset.unusable_examples
    reason = (
        f"{len(unusable)} of {total} examples have nothing to learn from within maxSequenceLength "
        f"({config.hyperparameters.max_sequence_length} tokens), the first is {unusable[0]}: correct them, or raise "
        "hyperparameters.maxSequenceLength"
    )
    if rule.action == "Fail":
        raise BadData(f"{reason}, or set dataset.unusableExamples.action to Drop")
    if 100 * len(unusable) > as_decimal(rule.max_percent) * total:
        raise BadData(f"{reason}, or raise dataset.unusableExamples.maxPercent ({rule.max_percent})")


def _examples(rows: Sequence[_Labelled]) -> tuple[Example, ...]:
    return tuple(example for row in rows for example in row.examples)


def _warnings(labeller: Labeller, dropped: int) -> Iterator[str]:
    found = labeller.findings
    if dropped:
        yield f"{dropped} examples have nothing to learn from and were left out"
    if found["truncated"]:
        yield f"{found['truncated']} examples are longer than {labeller.max_sequence_length} tokens and were cut"
    if found["split"]:
        yield (
            f"the chat template rewrites earlier turns: {found['split']} conversations were split, "
            "so that each answer is learned behind the prompt that serving renders"
        )
    if found["answer begins otherwise"]:
        yield (
            f"the chat template's generation prompt begins {found['answer begins otherwise']} answers otherwise than "
            "they stand in the conversation: served answers may begin differently from what was learned"
        )
    if found["no end of turn"]:
        yield f"{found['no end of turn']} answers end without a special token: served answers may not stop"
