"""Prompt tuning: learned embeddings before each document.

Their initial values are embeddings of real tokens, those of `initialText` or of tokens drawn from the vocabulary: the
layers expect their inputs where these lie. Measured on SmolLM2-135M (20 virtual tokens, first lines of docstrings from
signatures, 30 steps of 8 examples at 1e-2), held-out loss fell to 3.08 from tokens of the vocabulary, to 3.28 from
noise of their size, and to 3.34 from noise of unit variance, PEFT's default. A text that fits the task begins lower
(4.19 against 4.91) and ended at 3.16. Lester, Al-Rfou and Constant, "The Power of Scale for Parameter-Efficient Prompt
Tuning" (2021), found the same order. At 2e-4, a rate for LoRA, almost nothing is learned: 4.38.
"""

import itertools
from typing import Any

import torch
from peft import PromptTuningConfig

from adapter_contract.recipe import PromptTuning
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.examples.templates import load_tokenizer
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.methods.prompt_learning import PromptLearner, sampled_tokens
from adapter_trainer.model.rows import Row, behind_virtual_tokens

_FIELD = "method.promptTuning"


class PromptTuningAdapter(PromptLearner):
    """Embeddings that stand before those of each document's tokens."""

    def __init__(self, base: BaseModel, method: PromptTuning) -> None:
        """Put the adapter on the base.

        Raises:
            BadConfiguration: the initial text has no tokens, or the tokenizer can't be loaded.
        """
        count = method.virtual_tokens
        ids = sampled_tokens(base, count) if method.initial_text is None else _tokens(base, method.initial_text, count)
        # The file must not name a tokenizer of this machine, which PEFT would look for, so PEFT's own way isn't taken.
        config = PromptTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=count, prompt_tuning_init="RANDOM", num_transformer_submodules=1
        )
        super().__init__(base, method, config, field=_FIELD)
        self.virtual_tokens = count
        self._embed = base.model.get_input_embeddings()
        with torch.no_grad():
            self.initialise(self._embed(ids))

    def inputs(self, row: Row) -> dict[str, Any]:
        """Return the arguments for a row in which the learned embeddings stand before each document."""
        laid = behind_virtual_tokens(row, self.virtual_tokens)
        arguments = super().inputs(laid)
        del arguments["input_ids"]
        return {**arguments, "inputs_embeds": self._embeddings(row)}

    def _embeddings(self, row: Row) -> torch.Tensor:
        embedded = self._embed(row.ids)
        learned = self.learned.to(embedded.dtype)[None]
        documents = ((learned, document) for document in torch.split(embedded, row.lengths, 1))
        return torch.cat(list(itertools.chain.from_iterable(documents)), 1)


def _tokens(base: BaseModel, text: str, count: int) -> torch.Tensor:
    """Return so many tokens, [count]: those of the text, over and over where it is shorter."""
    ids: list[int] = load_tokenizer(base.directory)(text)["input_ids"]
    if not ids:
        raise BadConfiguration(f"{_FIELD}.initialText: it has no tokens: give some text, or none at all")
    return torch.tensor(list(itertools.islice(itertools.cycle(ids), count)), device=base.device)
