"""Gradient checkpointing: layers keep what goes into them, and compute the rest again in the backward pass.

Chen et al. 2016, arXiv:1604.06174. transformers' own works in training mode only, in which a base model isn't here.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

from adapter_trainer.model.dropout import drawing_again


class Checkpointing:
    """The layers of a model that can compute again; they don't until they are told to.

    Losses and gradients stay the same, bit for bit: the backward pass goes the same way, and dropout draws the same
    numbers again. A layer keeps its input, [tokens, hidden], and the state of random numbers; one layer at a time takes
    what it would have kept without.
    """

    def __init__(self, model: nn.Module) -> None:
        """Find the layers.

        Args:
            model: transformers' model, also with an adapter on it. A method that puts modules into layers, or hooks on
                what is in them, may still do so later.
        """
        self._layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
        self._on = False

    @property
    def layers(self) -> int:
        """How many layers can compute again; other kinds of models have none that are known here."""
        return len(self._layers)

    @property
    def is_on(self) -> bool:
        """Whether layers compute again."""
        return self._on

    def switch_on(self) -> None:
        """Let the layers compute again from the next forward pass on, while no other thread computes with them."""
        if self._on:
            return
        self._on = True
        for layer in self._layers:
            # In the place of `forward`, so that hooks on the layer itself are called once.
            layer.forward = _computed_again(layer.forward)

    def switch_off(self) -> None:
        """Let the layers keep all they need, as before."""
        if not self._on:
            return
        self._on = False
        for layer in self._layers:
            del layer.forward  # what the class has shows again


def _computed_again(forward: Callable[..., Any]) -> Callable[..., Any]:
    def checkpointed(hidden_states: torch.Tensor, *others: object, **named: object) -> Any:  # noqa: ANN401 - as forward
        if not torch.is_grad_enabled():
            return forward(hidden_states, *others, **named)
        return checkpoint(
            partial(forward, **named),
            hidden_states,
            *others,
            use_reentrant=False,
            # The state of the CPU's default generator is that of all threads, and no layer draws from it.
            preserve_rng_state=hidden_states.device.type != "cpu",
            context_fn=_contexts,
        )

    return checkpointed


def _contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return what a layer's forward pass is in, and what its repetition is in."""
    return nullcontext(), drawing_again()
