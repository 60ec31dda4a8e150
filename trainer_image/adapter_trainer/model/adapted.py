"""A base model with an adapter on it, whatever its method: what training, evaluation and saving know of it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from adapter_contract.manifest import AdapterFacts
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.fused.head import Likelihoods, decoder_of, head_likelihoods, head_of, logits_likelihoods
from adapter_trainer.model.rows import Row


class AdaptedModel(ABC):
    """A base model with an adapter whose weights, in float32, are all that is trained.

    Attributes:
        base: the model below, whose layers may have been changed in place.
        virtual_tokens: how many positions the adapter adds to each document of a row: they take memory, too.
    """

    base: BaseModel
    virtual_tokens: int = 0

    @abstractmethod
    def weights(self) -> list[nn.Parameter]:
        """Return the adapter's weights, always in the same order."""

    @contextmanager
    def dropping_out(self) -> Iterator[None]:
        """Let the adapter drop activations, as in training; at other times it doesn't."""
        yield

    def label_likelihoods(self, row: Row) -> Likelihoods:
        """Return how likely the model finds the learned tokens of a row, without keeping logits where it can."""
        head = head_of(self.base.model)
        if not self.base.plain_head or type(head) is not nn.Linear:
            return logits_likelihoods(self.label_logits(row), row.targets)
        inputs = self.inputs(row)
        before = inputs.pop("logits_to_keep")
        with self.base.computing():
            hidden = decoder_of(self.base.model)(**inputs, use_cache=False).last_hidden_state[0]
            return head_likelihoods(hidden[before], head, row.targets)

    def label_logits(self, row: Row) -> torch.Tensor:
        """Return the logits for the learned tokens of a row, [labels, vocabulary], in float32.

        The model's head computes no others: that spares a tenth of the time, and memory that grows with the vocabulary.
        """
        with self.base.computing():
            output = self.base.model(**self.inputs(row), use_cache=False)
        logits: torch.Tensor = output.logits
        return logits[0].float()

    def inputs(self, row: Row) -> dict[str, Any]:
        """Return the arguments with which the base computes a row, and of it only what predicts learned tokens."""
        documents = {"document_lengths": row.lengths} if self.base.packable else {}
        return {"input_ids": row.ids, "position_ids": row.positions, "logits_to_keep": row.before, **documents}

    @abstractmethod
    def take_over(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the tensors of an earlier adapter: the names and shapes are those of `tensors`."""

    @abstractmethod
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Return what `adapter_model.safetensors` holds, by name: an adapter of the base as it was loaded."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return what `adapter_config.json` holds, but for the name of the base."""

    @abstractmethod
    def facts(self, size_bytes: int) -> AdapterFacts:
        """Return what an engine must know of the adapter, whose weights' file has so many bytes."""
