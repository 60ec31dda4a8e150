"""What a run learns from and is measured on, and what is to be told about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from adapter_contract import Digest
from adapter_trainer.examples.example import Unit


@dataclass(frozen=True, slots=True)
class PreparedExamples:
    """What a run learns from and is measured on.

    Attributes:
        training, evaluation: units, in the order of the files; those held out by percent in that of their digests.
        dropped: how many rows could not be learned from, of training and evaluation.
        tokens, labelled_tokens: of one pass over the training examples.
        evaluation_digest: of what the held-out examples say, in order: equal digests make metrics comparable.
        detected_format: the format that was read.
        warnings: sentences for people.
        detected_because: which columns were read in this format, and why; a sentence.
        remark: which other format would have fitted, where one does.
        columns: of each part of the format, the column that holds it.
        rows, evaluation_rows: how many rows can be learned from and be measured on; a conversation that was split
            is one row of several units.
        findings: by name (see `labelling.Finding`), how many rows or answers, of training and evaluation.
        duplicates: training rows that say exactly what an earlier one says.
        leaked: evaluation rows that say exactly what a training row says.
        leaked_prompts: further evaluation rows whose prompt stands in training with another answer.
        longest: tokens of the longest sequence, before it was cut.
    """

    training: tuple[Unit, ...]
    evaluation: tuple[Unit, ...]
    dropped: int
    tokens: int
    labelled_tokens: int
    evaluation_digest: Digest | None
    detected_format: str
    warnings: tuple[str, ...]
    detected_because: str = ""
    remark: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0
    evaluation_rows: int = 0
    findings: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    leaked: int = 0
    leaked_prompts: int = 0
    longest: int = 0


def finding_warnings(found: Mapping[str, int], limit: int) -> Iterator[str]:
    """Say what labelling met, as sentences for people.

    Args:
        found: how often, by `labelling.Finding`.
        limit: where sequences were cut, in tokens.
    """
    unusable = found.get("unlabelled", 0) + found.get("equal answers", 0)
    if unusable:
        yield f"{unusable} examples have nothing to learn from and were left out"
    if found.get("truncated"):
        lost = found.get("answer cut", 0)
        more = (
            f"; in {lost} of them the end of an answer is lost, so that it is not learned where to stop" if lost else ""
        )
        yield f"{found['truncated']} examples are longer than {limit} tokens and were cut{more}"
    if found.get("split"):
        yield (
            f"the chat template rewrites earlier turns: {found['split']} conversations were split, "
            "so that each answer is learned behind the prompt that serving renders"
        )
    if found.get("answer begins otherwise"):
        yield (
            f"the chat template's generation prompt begins {found['answer begins otherwise']} answers otherwise than "
            "they stand in the conversation: served answers may begin differently from what was learned"
        )
    if found.get("no end of turn"):
        yield f"{found['no end of turn']} answers end without a special token: served answers may not stop"
    if found.get("empty answer"):
        yield f"{found['empty answer']} answers are empty: what is learned from them is to say nothing"


def overlap_warnings(duplicates: int, leaked: int, leaked_prompts: int) -> Iterator[str]:
    """Say which examples stand in the data more than once, as sentences for people."""
    if duplicates:
        yield f"{duplicates} training examples say exactly what an earlier one says"
    if leaked:
        yield f"{leaked} evaluation examples stand in the training data too: the metrics look better than they are"
    if leaked_prompts:
        yield (
            f"{leaked_prompts} evaluation examples have a prompt that stands in the training data with another answer: "
            "the metrics may look better than they are"
        )
