"""What prompt tuning and prefix tuning have in common: learned positions before each document."""

from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftConfig
from torch import nn

from adapter_contract.manifest import AdapterFacts
from adapter_contract.recipe import PrefixTuning, PromptTuning
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.methods.peft_adapter import PeftAdapter

_TENSOR = "prompt_embeddings"
"""PEFT's name of the only tensor in the file."""


class PromptLearner(PeftAdapter):
    """An adapter that leaves the layers as they are: its one weight stands for virtual tokens.

    Attributes:
        learned: [virtual tokens, ...], the weight.
    """

    learned: nn.Parameter

    def __init__(self, base: BaseModel, method: PromptTuning | PrefixTuning, config: PeftConfig, *, field: str) -> None:
        """Put the adapter on the base; the weight is as PEFT initialises it."""
        self._method = method
        super().__init__(base, config, targets_field=field)
        (self.learned,) = self.weights()

    def take_over(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the weight of an earlier adapter."""
        self.initialise(state[_TENSOR])

    def initialise(self, weight: torch.Tensor) -> None:
        """Set the weight to values of the same shape."""
        with torch.no_grad():
            self.learned.copy_(weight.reshape(self.learned.shape))

    def facts(self, size_bytes: int) -> AdapterFacts:
        """Return that there are no target modules."""
        return AdapterFacts(
            method=self._method.type,
            trainable_parameters=self.learned.numel(),
            size_bytes=size_bytes,
            dtype="Float32",
        )


def sampled_tokens(base: BaseModel, count: int) -> torch.Tensor:
    """Draw token ids of the vocabulary, [count], from PyTorch's default generator."""
    embeddings: Any = base.model.get_input_embeddings()
    return torch.randint(embeddings.weight.shape[0], (count,)).to(base.device)
