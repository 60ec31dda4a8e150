"""Whether the dataset can be read and learned from, and what is remarkable about its examples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from adapter_contract import Digest, SourceHoldout, TrainerConfig, as_decimal
from adapter_trainer.errors import BadData
from adapter_trainer.examples.formats.row_reader import RowReader
from adapter_trainer.examples.prepare import PreparedExamples, prepare_examples
from adapter_trainer.examples.readers.files import read_files
from adapter_trainer.examples.refusals import (
    ChatTemplateMissing,
    NothingToLearn,
    TooFewToHoldOut,
    TooManyUnusableExamples,
)
from adapter_trainer.inputs.dataset import FetchedDataset, fetch_dataset
from adapter_trainer.inputs.pins import require_digest
from adapter_trainer.preflight.base_model import BaseFacts
from adapter_trainer.preflight.codes import DATASET, Code
from adapter_trainer.preflight.ledger import Ledger

FEW_EXAMPLES = 500
MANY_DUPLICATES_PERCENT = 1
_SHOWN = 8
"""Bad rows that a message shows; the others are counted."""

_OWN_CODES: dict[type[Exception], Code] = {
    ChatTemplateMissing: Code.ChatTemplateMissing,
    NothingToLearn: Code.NothingToLearn,
    TooFewToHoldOut: Code.TooFewToHoldOut,
    TooManyUnusableExamples: Code.TooManyUnusableExamples,
}

Remark = tuple[Code, str, int | None]


@dataclass(frozen=True, slots=True)
class FetchedData:
    """The files of the examples; None where they could not be fetched."""

    training: FetchedDataset | None
    evaluation: FetchedDataset | None


def fetch_data(ledger: Ledger, config: TrainerConfig, directory: Path) -> FetchedData:
    """Copy the files to learn from, and those to evaluate on where they are others, as the training does.

    Args:
        ledger: for what is found.
        config: with mounted paths as they really are.
        directory: to copy below; `dataset` and `evaluation` must not exist in it yet.
    """
    source = config.dataset.source
    training = ledger.attempt(DATASET, lambda: fetch_dataset(source, directory / "dataset", "dataset.source"))
    if training is not None:
        _check_pin(ledger, training.digest, config.dataset.digest)
    evaluation = None
    holdout = config.evaluation.holdout if config.evaluation else None
    if isinstance(holdout, SourceHoldout):
        field = "evaluation.holdout.source"
        evaluation = ledger.attempt(DATASET, lambda: fetch_dataset(holdout.source, directory / "evaluation", field))
    return FetchedData(training, evaluation)


def check_examples(
    ledger: Ledger, config: TrainerConfig, data: FetchedData, base: BaseFacts
) -> PreparedExamples | None:
    """Prepare the examples as the training does, and note all that is wrong with them.

    Args:
        ledger: for what is found.
        config: of the run.
        data: the files.
        base: of which the tokenizer and the size of the vocabulary are used.

    Returns:
        The examples, if they are all right: those that the training will have.
    """
    what = "the examples"
    if data.training is None:
        ledger.skipped(what, "the dataset could not be fetched")
        return None
    if base.tokenizer is None:
        ledger.skipped("which tokens of the examples are learned", "the base model's tokenizer could not be loaded")
        _read_only(ledger, config, data)
        return None
    if data.evaluation is None and config.evaluation and isinstance(config.evaluation.holdout, SourceHoldout):
        ledger.skipped(what, "the dataset to evaluate on could not be fetched")
        return None
    refused = _Refused()
    try:
        prepared = _prepared(config, data, base.tokenizer, refused)
    except Exception as error:
        refused.note(ledger)
        if not (refused.count and isinstance(error, NothingToLearn | TooFewToHoldOut)):  # then it follows from those
            _note(ledger, error)
        return None
    refused.note(ledger)
    for code, message, count in remarks(prepared, config):
        ledger.add(code, message, count)
    _check_vocabulary(ledger, prepared, base)
    return None if refused.count else prepared


def _prepared(
    config: TrainerConfig, data: FetchedData, tokenizer: PreTrainedTokenizerBase, refused: "_Refused"
) -> PreparedExamples:
    training = data.training.files if data.training else ()
    evaluation = data.evaluation.files if data.evaluation else None
    return prepare_examples(training, evaluation, tokenizer, config, refused=refused.add)


def _read_only(ledger: Ledger, config: TrainerConfig, data: FetchedData) -> None:
    """Note what is wrong with the rows whatever the tokenizer is."""
    refused = _Refused()
    for dataset in (data.training, data.evaluation):
        if dataset is not None:
            ledger.attempt(DATASET, partial(_read, dataset.files, config, refused))
    refused.note(ledger)


def _read(files: Sequence[Path], config: TrainerConfig, refused: "_Refused") -> None:
    rows = read_files(files, refused.add)
    first = next(rows, None)
    if first is None:
        return
    reader = RowReader(config.dataset, config.objective.type, first)
    for row in chain((first,), rows):
        try:
            reader.read(row)
        except BadData as error:
            refused.add(error)


class _Refused:
    """The rows that can't be used. Of most only their number is kept: an error holds on to the row that it is about."""

    def __init__(self) -> None:
        self.count = 0
        self._shown: list[str] = []

    def add(self, error: BadData) -> None:
        self.count += 1
        if len(self._shown) < _SHOWN:
            self._shown.append(str(error))

    def note(self, ledger: Ledger) -> None:
        """Note them as one finding."""
        count = self.count
        if not count:
            return
        shown = " | ".join([*self._shown, *([f"and {count - _SHOWN} more"] if count > _SHOWN else [])])
        ledger.add(
            Code.ExamplesInvalid,
            f"dataset: {count} {_examples(count)} can't be used, correct or remove them: {shown}",
            count,
        )


def _note(ledger: Ledger, error: Exception) -> None:
    own = next((code for kind, code in _OWN_CODES.items() if isinstance(error, kind)), None)
    if own is None:
        ledger.failed(DATASET, error)
    else:
        ledger.add(own, str(error))


def _check_pin(ledger: Ledger, digest: Digest, pin: Digest | None) -> None:
    try:
        require_digest("the dataset", digest, pin, "dataset.digest")
    except BadData as error:
        ledger.add(Code.DatasetDigestMismatch, str(error))


def _check_vocabulary(ledger: Ledger, prepared: PreparedExamples, base: BaseFacts) -> None:
    if base.shape is None:
        return
    highest = max(
        (max(one.tokens, default=0) for unit in (*prepared.training, *prepared.evaluation) for one in unit.sequences),
        default=0,
    )
    if highest >= base.shape.vocabulary_size:
        ledger.add(
            Code.TokenizerInvalid,
            f"baseModel: the tokenizer gives examples the token {highest}, but the base model has embeddings of "
            f"{base.shape.vocabulary_size} tokens only: give the tokenizer that belongs to it",
        )


def remarks(prepared: PreparedExamples, config: TrainerConfig) -> Iterator[Remark]:
    """Yield what people should know of examples that can be learned from, as warnings."""
    yield from _findings(prepared, config)
    yield from _amounts(prepared, config)
    yield from _repetitions(prepared)


def _findings(prepared: PreparedExamples, config: TrainerConfig) -> Iterator[Remark]:
    if prepared.remark:
        yield Code.FormatAmbiguous, prepared.remark, None
    length = config.hyperparameters.max_sequence_length
    found = prepared.findings
    raise_it = f"raise hyperparameters.maxSequenceLength ({length}) or shorten them"
    sentences: Sequence[tuple[str, Code, str]] = (
        (
            "truncated",
            Code.ExamplesTruncated,
            f"are longer than maxSequenceLength and will be cut; the longest has {prepared.longest} tokens: {raise_it}",
        ),
        ("answer cut", Code.AnswersTruncated, f"lose the end of an answer, so that ending is not learned: {raise_it}"),
        (
            "split",
            Code.ConversationsSplit,
            "are conversations whose earlier turns the chat template rewrites: each answer is learned behind the "
            "prompt that serving renders",
        ),
        (
            "answer begins otherwise",
            Code.AnswerBeginsOtherwise,
            "have answers that the chat template's generation prompt begins otherwise: served answers may begin "
            "differently from what was learned; look at the base model's chat template",
        ),
        (
            "no end of turn",
            Code.EndOfTurnNotTrained,
            "have answers that end without a special token: served answers may not stop; use a chat template that "
            "ends each turn",
        ),
        ("empty answer", Code.AnswersEmpty, "have an empty answer: only its end is learned; correct or remove them"),
        ("equal answers", Code.AnswersEqual, "have equal chosen and rejected answers: correct or remove them"),
    )
    if prepared.dropped:
        yield (
            Code.ExamplesDropped,
            f"dataset: {prepared.dropped} {_examples(prepared.dropped)} will be left out, since there is nothing to "
            f"learn in them within maxSequenceLength ({length} tokens)",
            prepared.dropped,
        )
    for key, code, sentence in sentences:
        if count := found.get(key, 0):
            yield code, f"dataset: {count} {_examples(count)} {sentence}", count


def _amounts(prepared: PreparedExamples, config: TrainerConfig) -> Iterator[Remark]:
    given = config.hyperparameters
    examples, evaluated = len(prepared.training), len(prepared.evaluation)
    if examples < FEW_EXAMPLES:
        yield (
            Code.FewExamples,
            f"dataset: there are {examples} {_examples(examples)} to learn from; fewer than {FEW_EXAMPLES} seldom "
            "teach more than a style: give more",
            examples,
        )
    if evaluated > examples:
        yield (
            Code.EvaluationLargerThanTraining,
            f"evaluation.holdout: there are {evaluated} examples to evaluate on, but {examples} to learn from: hold "
            "out fewer",
            evaluated,
        )
    learned = examples * as_decimal(given.epochs)
    if learned < given.batch_size:
        yield (
            Code.LessThanOneBatch,
            f"hyperparameters.batchSize: one optimizer step takes {given.batch_size} examples, and all epochs "
            f"together have {learned.normalize():f}: lower it, or raise hyperparameters.epochs",
            examples,
        )


def _repetitions(prepared: PreparedExamples) -> Iterator[Remark]:
    if prepared.duplicates * 100 > MANY_DUPLICATES_PERCENT * prepared.rows:
        yield (
            Code.DuplicateExamples,
            f"dataset: {prepared.duplicates} of {prepared.rows} examples stand there before with the same content; "
            "they are learned as often as they stand there: remove them unless that is meant",
            prepared.duplicates,
        )
    if prepared.leaked:
        yield (
            Code.EvaluationLeak,
            f"evaluation.holdout: {prepared.leaked} {_examples(prepared.leaked)} to evaluate on are learned as well, "
            "so that the metrics will be too good: remove them from one side",
            prepared.leaked,
        )
    if prepared.leaked_prompts:
        yield (
            Code.EvaluationPromptLeak,
            f"evaluation.holdout: {prepared.leaked_prompts} {_examples(prepared.leaked_prompts)} to evaluate on have a "
            "prompt that is learned with another answer: move examples of equal prompts to one side",
            prepared.leaked_prompts,
        )


def _examples(count: int) -> str:
    return "example" if count == 1 else "examples"
