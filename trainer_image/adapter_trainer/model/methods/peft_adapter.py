"""What the methods of the PEFT library have in common here."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel

from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.base import BaseModel

ADAPTER = "default"
"""PEFT's name of the adapter that is trained."""


class PeftAdapter(AdaptedModel):
    """An adapter whose weights a PeftModel holds.

    Attributes:
        peft: the base model with the adapter, as the PEFT library has it.
    """

    peft: PeftModel

    def __init__(self, base: BaseModel, config: PeftConfig, *, targets_field: str) -> None:
        """Put the adapter on the base, which then can't take another.

        Args:
            base: whose layers are changed in place.
            config: of the PEFT library.
            targets_field: of the configuration, for messages: it names the modules to adapt.

        Raises:
            BadConfiguration: a module to adapt doesn't exist or can't be adapted.
        """
        self.base = base
        self.peft = with_adapter(base.model, config, targets_field=targets_field)
        self._weights = [parameter for parameter in self.peft.parameters() if parameter.requires_grad]
        for weight in self._weights:
            weight.data = weight.data.float()
        self.peft.train(mode=False)

    def weights(self) -> list[nn.Parameter]:
        """Return the adapter's weights, always in the same order."""
        return list(self._weights)

    def take_over(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over an earlier adapter's tensors."""
        set_peft_model_state_dict(self.peft, dict(state), adapter_name=ADAPTER)

    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Return the adapter's tensors by PEFT's names."""
        # PEFT would else look the base up on the Hub, to find out whether its vocabulary was resized.
        state: dict[str, torch.Tensor] = get_peft_model_state_dict(
            self.peft, adapter_name=ADAPTER, save_embedding_layers=False
        )
        return state

    def config(self) -> dict[str, Any]:
        """Return PEFT's configuration, always in the same order."""
        document: dict[str, Any] = self.peft.peft_config[ADAPTER].to_dict()
        document["inference_mode"] = True
        # PEFT has the modules' names in sets, whose order changes from process to process.
        return {name: sorted(value) if isinstance(value, set) else value for name, value in document.items()}


def with_adapter(model: PreTrainedModel, config: PeftConfig, *, targets_field: str) -> PeftModel:
    """Put an adapter of the PEFT library on a model, whose layers are changed in place; errors as in `PeftAdapter`."""
    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 by a name that is to go in version 6.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        # An adapter beside the head leaves the embeddings alone that the head's weights are, too. None is ever merged.
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`", category=UserWarning)
        try:
            adapted: PeftModel = get_peft_model(model, config)
        except ValueError as error:
            raise BadConfiguration(f"{targets_field}: the base model can't be adapted so: {error}") from error
    return adapted
