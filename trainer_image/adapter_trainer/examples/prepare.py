"""From files to the examples of a run: read, label, drop what can't be learned from, hold out."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from adapter_contract import (
    Digest,
    PercentHoldout,
    SourceHoldout,
    SupervisedFineTuning,
    TrainerConfig,
    as_decimal,
    sha256_json,
)
from adapter_trainer.errors import BadData
from adapter_trainer.examples.example import tokens_of
from adapter_trainer.examples.formats.row_reader import RowReader
from adapter_trainer.examples.holdout import held_out
from adapter_trainer.examples.labelling import Labeller
from adapter_trainer.examples.prepared import PreparedExamples, finding_warnings, overlap_warnings
from adapter_trainer.examples.readers.files import names_of, read_files
from adapter_trainer.examples.readers.row import Refused
from adapter_trainer.examples.refusals import NothingToLearn, TooManyUnusableExamples
from adapter_trainer.examples.rows import LabelledRows, label_rows

__all__ = ["PreparedExamples", "prepare_examples"]


def prepare_examples(
    training: Sequence[Path],
    evaluation: Sequence[Path] | None,
    tokenizer: PreTrainedTokenizerBase,
    config: TrainerConfig,
    *,
    refused: Refused | None = None,
) -> PreparedExamples:
    """Read, label and divide the examples of a run.

    Args:
        training: files of examples, in order, of any of the types that `readers.files` knows.
        evaluation: files to evaluate on, of the same format, where the configuration names a source.
        tokenizer: of the base model.
        config: of the run.
        refused: is told of each row, and of each file, that can't be read, and the row is left out. Without it the
            first one is raised, with the number of all.

    Raises:
        BadConfiguration: this release can't do what the configuration asks for.
        BadData: what is wrong, by file and line.
    """
    problems = _Problems()
    preparation = _Preparation(tokenizer, config, refused or problems)
    rows = preparation.read(training, "dataset")
    held = LabelledRows()
    holdout = config.evaluation.holdout if config.evaluation else None
    if isinstance(holdout, SourceHoldout):
        held = preparation.read(evaluation or (), "evaluation.holdout.source")
    problems.require_none()
    preparation.require_usable("dataset", rows, training)
    preparation.require_answers()
    if isinstance(holdout, SourceHoldout):
        preparation.require_usable("evaluation.holdout.source", held, evaluation or ())
    elif isinstance(holdout, PercentHoldout):
        positions = held_out(rows.digests, holdout.percent)
        chosen = set(positions)
        held = rows.at(positions)
        rows = rows.at([position for position in range(len(rows.units)) if position not in chosen])
    return preparation.prepared(rows, held)


class _Problems:
    """The rows that can't be read, where the first one ends the attempt."""

    def __init__(self) -> None:
        self._first: BadData | None = None
        self.count = 0

    def __call__(self, error: BadData) -> None:
        self._first = self._first or error
        self.count += 1

    def require_none(self) -> None:
        if self._first is None:
            return
        others = f"; {self.count - 1} more can't be read either" if self.count > 1 else ""
        raise BadData(f"{self._first}{others}") from self._first


class _Preparation:
    """What training and evaluation examples of a run have in common."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, config: TrainerConfig, refused: Refused) -> None:
        self._config = config
        self._refused = refused
        objective = config.objective
        self._labeller = Labeller(
            tokenizer,
            objective.loss_on if isinstance(objective, SupervisedFineTuning) else "Completion",
            config.hyperparameters.max_sequence_length,
        )
        self._reader: RowReader | None = None
        self._dropped = 0

    def read(self, files: Sequence[Path], field: str) -> LabelledRows:
        """Read and label the rows of files; the first files that are read decide on the format."""
        reader = self._detected(files, field)
        if reader is None:
            return LabelledRows()
        if self._reader is None:
            self._reader = reader
            if reader.reading.format == "Messages":
                self._labeller.require_template("Messages")
        elif reader.reading.format != self._reader.reading.format:
            raise BadData(
                f"{field}: its examples are {reader.reading.format} ({reader.reading.because}), but those to learn "
                f"from are {self._reader.reading.format}: give both the same format, or set dataset.format"
            )
        return label_rows(files, reader, self._labeller, self._refused)

    def require_usable(self, field: str, rows: LabelledRows, files: Sequence[Path]) -> None:
        """Check that enough of the rows can be learned from."""
        if rows.unusable:
            self._dropped += len(rows.unusable)
            cut = bool(self._labeller.findings["truncated"])
            _judge(rows.unusable, len(rows.units) + len(rows.unusable), self._config, cut=cut)
        if not rows.units:
            raise NothingToLearn(f"{field}: there is no example in it that can be learned from ({_names(files)})")

    def require_answers(self) -> None:
        """Check that somewhere something is answered: to say nothing is learned from some examples, not from all."""
        count = self._labeller.answers
        if count and self._labeller.loss_on == "Completion" and self._labeller.findings["empty answer"] == count:
            raise NothingToLearn(
                f"dataset: all {count} answers are empty: write them into the examples (completion, or content of the "
                "assistant's messages), or name their column in dataset.columns"
            )

    def prepared(self, rows: LabelledRows, held: LabelledRows) -> PreparedExamples:
        """Return the examples with what is to be told about them."""
        if self._reader is None:
            raise NothingToLearn("dataset: there is no example in it")
        reading = self._reader.reading
        found: dict[str, int] = {name: count for name, count in self._labeller.findings.items() if count}
        training = rows.all_units()
        known, prompts = set(rows.digests), set(rows.prompts) - {b""}
        leaked = [digest in known for digest in held.digests]
        asked = sum(prompt in prompts for prompt, known_too in zip(held.prompts, leaked, strict=True) if not known_too)
        duplicates = sum(count - 1 for count in Counter(rows.digests).values())
        remarks = [reading.remark] if reading.remark else []
        limit = self._config.hyperparameters.max_sequence_length
        return PreparedExamples(
            training=training,
            evaluation=held.all_units(),
            dropped=self._dropped,
            tokens=sum(map(tokens_of, training)),
            labelled_tokens=sum(unit.labelled_tokens for unit in training),
            evaluation_digest=_digest_of(held) if held.units else None,
            detected_format=reading.format,
            warnings=(*remarks, *finding_warnings(found, limit), *overlap_warnings(duplicates, sum(leaked), asked)),
            detected_because=reading.because,
            remark=reading.remark,
            columns=reading.columns,
            rows=len(rows.units),
            evaluation_rows=len(held.units),
            findings=found,
            duplicates=duplicates,
            leaked=sum(leaked),
            leaked_prompts=asked,
            longest=self._labeller.longest,
        )

    def _detected(self, files: Sequence[Path], field: str) -> RowReader | None:
        missed = _Problems()
        first = next(read_files(files, missed), None)
        if first is not None:
            return RowReader(self._config.dataset, self._config.objective.type, first)
        if not missed.count:
            raise NothingToLearn(f"{field}: there is no example in it ({_names(files)})")
        for _ in read_files(files, self._refused):
            """Every line is told, and none is kept: there may be millions."""
        return None


def _names(files: Sequence[Path]) -> str:
    return ", ".join(names_of(files)[:8]) or "no file"


def _digest_of(rows: LabelledRows) -> Digest:
    """Return the digest of the canonical JSON list of the rows' digests."""
    return sha256_json([f"sha256:{digest.hex()}" for digest in rows.digests])


def _judge(unusable: list[str], total: int, config: TrainerConfig, *, cut: bool) -> None:
    rule = config.dataset.unusable_examples
    preferences = config.objective.type == "DirectPreferenceOptimization"
    why = ["no answer behind a prompt (in a chat: a message of role assistant behind another)"]
    why += ["two equal answers"] if preferences else []
    why += [f"none within maxSequenceLength ({config.hyperparameters.max_sequence_length} tokens)"] if cut else []
    reason = (
        f"{len(unusable)} of {total} examples have nothing to learn from: {' or '.join(why)}; the first is "
        f"{unusable[0]}: correct them{', or raise hyperparameters.maxSequenceLength' if cut else ''}"
    )
    if rule.action == "Fail":
        raise TooManyUnusableExamples(f"{reason}, or set dataset.unusableExamples.action to Drop")
    if 100 * len(unusable) > as_decimal(rule.max_percent) * total:
        raise TooManyUnusableExamples(f"{reason}, or raise dataset.unusableExamples.maxPercent ({rule.max_percent})")
