"""Bottleneck adapters: small feed-forward layers behind the sublayers of each block.

What they compute and how they are stored is the contract's: `adapter_contract.bottleneck`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from adapter_contract.bottleneck import BottleneckSettings, bottleneck_modules, bottleneck_tensor
from adapter_contract.manifest import AdapterFacts
from adapter_contract.recipe import Bottleneck
from adapter_trainer.architecture.modules import BOTTLENECK_NON_LINEARITY
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.base import BaseModel


class BottleneckLayer(nn.Module):
    """One adapter: y + up(relu(down(y))); at first it changes nothing, as `up` is zero."""

    def __init__(self, hidden_size: int, size: int) -> None:
        """Draw the weights of `down` from the global generator.

        Args:
            hidden_size: features of what goes in and comes out.
            size: features in between.
        """
        super().__init__()
        self.down = nn.Linear(hidden_size, size)
        self.up = nn.Linear(size, hidden_size)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """Return what a sublayer gives instead of y, [..., hidden], of the same type."""
        change: torch.Tensor = self.up(functional.relu(self.down(y)))
        return y + change.to(y.dtype)


class BottleneckAdapter(AdaptedModel):
    """Bottlenecks behind the feed-forward networks (Pfeiffer) or behind attention as well (Houlsby)."""

    def __init__(self, base: BaseModel, method: Bottleneck) -> None:
        """Put the adapter on the base, which then can't take another.

        Args:
            base: whose sublayers get hooks.
            method: architecture and size.

        Raises:
            BadConfiguration: the base has no blocks as they are known here.
        """
        self.base = base
        self._settings = BottleneckSettings(
            architecture=method.architecture,
            size=method.size,
            hidden_size=base.model.config.get_text_config().hidden_size,
            non_linearity=BOTTLENECK_NON_LINEARITY,
            modules=_modules(base, method),
        )
        self._layers: dict[str, BottleneckLayer] = {}
        for module in self._settings.modules:
            layer = BottleneckLayer(self._settings.hidden_size, method.size).to(base.device)
            base.model.get_submodule(module).register_forward_hook(self._hook(layer))
            self._layers[module] = layer

    def _hook(self, layer: BottleneckLayer) -> Any:  # noqa: ANN401 - torch has one type for all of a hook's results
        def adapt(_module: nn.Module, _inputs: object, output: Any) -> Any:  # noqa: ANN401 - as the sublayer has it
            # Attention gives its weights besides.
            return (layer(output[0]), *output[1:]) if isinstance(output, tuple) else layer(output)

        return adapt

    def weights(self) -> list[nn.Parameter]:
        """Return the adapter's weights, always in the same order."""
        return [weight for layer in self._layers.values() for weight in layer.parameters()]

    def take_over(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the tensors of an earlier adapter."""
        for name, weight in self._named_weights():
            weight.data.copy_(state[name])

    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Return the adapter's tensors by the contract's names."""
        return dict(self._named_weights())

    def _named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        for module, layer in self._layers.items():
            for part, weight in layer.named_parameters():
                yield bottleneck_tensor(module, part), weight

    def config(self) -> dict[str, Any]:
        """Return the contract's settings."""
        return self._settings.model_dump(mode="json")

    def facts(self, size_bytes: int) -> AdapterFacts:
        """Return what got an adapter: `mlp`, or `mlp` and `self_attn`."""
        return AdapterFacts(
            method="Bottleneck",
            target_modules=tuple(sorted({module.rpartition(".")[2] for module in self._settings.modules})),
            trainable_parameters=sum(weight.numel() for weight in self.weights()),
            size_bytes=size_bytes,
            dtype="Float32",
        )


def _modules(base: BaseModel, method: Bottleneck) -> tuple[str, ...]:
    """Return the sublayers to adapt: as many as the base has blocks, of each kind."""
    names = [name for name, _ in base.model.named_modules()]
    modules = bottleneck_modules(names, method.architecture)
    blocks = base.model.config.get_text_config().num_hidden_layers
    if len(modules) != blocks * (1 if method.architecture == "Pfeiffer" else 2):
        raise BadConfiguration(
            f"method.type: Bottleneck can't be trained on a {type(base.model).__name__}: {method.architecture} adapts "
            f"the modules layers.<number>.mlp{'' if method.architecture == 'Pfeiffer' else ' and .self_attn'} of its "
            f"{blocks} blocks, but {len(modules)} were found: choose LoRA"
        )
    return modules
