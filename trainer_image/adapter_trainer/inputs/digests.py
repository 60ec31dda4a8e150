"""The digests of all that decides what is trained, and what preflight found of them."""

from dataclasses import dataclass, replace
from typing import Self

from adapter_contract import Digest, ExpectedInputs, TrainerResult, input_digest
from adapter_trainer.inputs.pins import require_digest


@dataclass(frozen=True, slots=True)
class KnownDigests:
    """What is known so far: it grows as inputs are fetched, and a failure reports it, too."""

    dataset: Digest | None = None
    evaluation: Digest | None = None
    base: Digest | None = None
    parent: Digest | None = None
    inputs: Digest | None = None

    def with_inputs(self, recipe_hash: Digest) -> Self:
        """Return these with the digest of all inputs.

        Raises:
            ValueError: data or base are not known yet.
        """
        if self.dataset is None or self.base is None:
            raise ValueError("the digests of data and base come first")
        found = input_digest(
            recipe_hash=recipe_hash,
            dataset_digest=self.dataset,
            evaluation_digest=self.evaluation,
            base_digest=self.base,
            parent_digest=self.parent,
        )
        return replace(self, inputs=found)

    def on(self, result: TrainerResult) -> TrainerResult:
        """Return a result that tells them."""
        return result.model_copy(
            update={
                "dataset_digest": self.dataset,
                "evaluation_digest": self.evaluation,
                "base_digest": self.base,
                "parent_digest": self.parent,
                "input_digest": self.inputs,
            }
        )


def require_expected(known: KnownDigests, expected: ExpectedInputs | None) -> None:
    """Refuse inputs that are others than preflight saw.

    Raises:
        BadData: naming the input.
    """
    if expected is None:
        return
    for what, found, wanted in (
        ("the dataset", known.dataset, expected.dataset_digest),
        ("the base model", known.base, expected.base_digest),
        ("the parent", known.parent, expected.parent_digest),
        ("the set of held-out examples", known.evaluation, expected.evaluation_digest),
        ("the whole of recipe and inputs", known.inputs, expected.input_digest),
    ):
        require_digest(what, found, wanted, "preflight.expected")
