"""PiSSA: LoRA that begins with the principal parts of the base's weights.

Meng, Wang and Zhang 2024, arXiv:2404.02948. Of each target weight W the principal singular values and vectors become
the factors A0 and B0, and what remains, W - s B0 A0 (s is LoRA's scaling), is frozen and quantized in its place. So
training moves the directions that matter most, and quantization errs less, since its worst outliers are taken out.

What is published fits the unchanged base. With the trained factors A and B, the change of W is

    s (B A - B0 A0) = s ((B - B0) A + B0 (A - A0)) = s [B - B0, B0] [A; A - A0],

a plain LoRA adapter of twice the rank, whose scaling is folded into its upper factor. The published rank is therefore
2 rank, which an engine's maxRank must allow. The usual form, [B, -B0] [A; A0], is equal on paper but takes two large
products from each other, which in the types that engines compute in leaves little of a small change.

On a base that isn't quantized, base and published adapter are the trained model, but for rounding. On a quantized one,
the trained model is Q(W - s B0 A0) + s B A, and the served one, W + s (B A - B0 A0), differs from it by just the error
of quantization, Q(R) - R of the remainder R, as with any adapter that was trained on a quantized base.
"""

from collections.abc import Mapping, Set
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from adapter_contract.recipe import LoRA
from adapter_trainer.architecture.modules import ALL_LINEAR
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.methods.lora import TARGETS_FIELD, LoRAAdapter, lora_layers, peft_config
from adapter_trainer.model.methods.peft_adapter import ADAPTER, with_adapter
from adapter_trainer.model.methods.targets import require_linear
from adapter_trainer.model.parallel import workers


@dataclass(frozen=True, slots=True)
class Factors:
    """Two factors of a matrix, in float32.

    Attributes:
        down: [rank, inputs], called A.
        up: [outputs, rank], called B.
    """

    down: torch.Tensor
    up: torch.Tensor


def principal_factors(weight: torch.Tensor, rank: int) -> Factors:
    """Return the factors whose product is the best approximation of a matrix by one of a rank.

    They are what a singular value decomposition U S V' gives, sqrt(S) V' and U sqrt(S). It is computed from the
    eigenvectors of the smaller of W W' and W' W, in float64: for the principal part that is as exact as an SVD in
    float32, and takes half its time.

    Args:
        weight: [outputs, inputs], on the device to compute on.
        rank: at most the smaller of the two.
    """
    exact = weight.double()
    wide = exact.shape[0] <= exact.shape[1]
    values, vectors = torch.linalg.eigh(exact @ exact.T if wide else exact.T @ exact)
    roots = values[-rank:].flip(0).clamp(min=0).pow(0.25)
    kept = vectors[:, -rank:].flip(1)
    other = (exact.T if wide else exact) @ kept / torch.where(roots > 0, roots, 1)
    up, down = (kept * roots, other.T) if wide else (other, (kept * roots).T)
    return Factors(down.float().contiguous(), up.float().contiguous())


class PrincipalParts:
    """The principal parts of a base's target weights, once `take_out` has taken them out.

    Attributes:
        factors: by the names of the layers in the base, divided so that LoRA's scaling makes them whole.
    """

    def __init__(self, method: LoRA) -> None:
        self._method = method
        self.factors: dict[str, Factors] = {}

    def take_out(self, model: PreTrainedModel) -> None:
        """Take them out of an unquantized model's weights, in place, on the GPU if there is one; of all or of none.

        Raises:
            BadConfiguration: a target module doesn't exist, has not as many singular values as the rank, or shares its
                weight with another module.
        """
        if self._method.target_modules != (ALL_LINEAR,):
            require_linear(model, self._method.target_modules, TARGETS_FIELD)
        shared = _shared_weights(model)
        scalings = _targets(model, self._method)
        layers = [self._decomposable(name, model.get_submodule(name), shared) for name in scalings]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with workers(device) as side_by_side:
            parts = side_by_side.map(lambda layer: _take_out(layer, self._method.rank, device), layers)
            for (name, scaling), part in zip(scalings.items(), parts, strict=True):
                share = scaling**-0.5
                self.factors[name] = Factors((part.down * share).cpu(), (part.up * share).cpu())

    def _decomposable(self, name: str, layer: nn.Module, shared: Set[int]) -> nn.Linear:
        if not isinstance(layer, nn.Linear) or id(layer.weight) in shared:
            raise BadConfiguration(
                f"{TARGETS_FIELD}: PiSSA changes the weights of {name}, which are those of other modules, too: "
                "leave it out, or set method.lora.initialization to Default"
            )
        if self._method.rank > (most := min(layer.weight.shape)):
            raise BadConfiguration(
                f"method.lora.rank: PiSSA finds only {most} principal parts in {name}, less than "
                f"{self._method.rank}: lower it, or leave the module out of targetModules"
            )
        return layer


def _take_out(layer: nn.Linear, rank: int, device: torch.device) -> Factors:
    """Leave in a layer what remains of its weight; return the principal part."""
    weight = layer.weight.data.to(device)
    principal = principal_factors(weight, rank)
    remainder = weight.double() - principal.up.double() @ principal.down.double()
    layer.weight.data = remainder.to(layer.weight)
    return principal


class PiSSAAdapter(LoRAAdapter):
    """LoRA on a base whose principal parts were taken out, and whose adapter begins with them."""

    def __init__(self, base: BaseModel, method: LoRA, parts: PrincipalParts) -> None:
        """Put the adapter on the base.

        Args:
            base: whose layers are changed in place.
            method: the one whose `parts` were taken out of this very base before it was quantized.
            parts: with which the adapter begins.
        """
        super().__init__(base, method)
        self._initial = {
            name: Factors(parts.factors[name].down.to(base.device), parts.factors[name].up.to(base.device))
            for name in self.layers
        }
        self._set(self._initial)

    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Return the converted adapter by PEFT's names: it fits the unchanged base."""
        state = {}
        for name, (down, up) in self._factors().items():
            initial = self._initial[name]
            scaling = self.layers[name].scaling[ADAPTER]
            state[f"base_model.model.{name}.lora_A.weight"] = torch.cat([down, down - initial.down])
            state[f"base_model.model.{name}.lora_B.weight"] = scaling * torch.cat([up - initial.up, initial.up], 1)
        return state

    def config(self) -> dict[str, Any]:
        """Return the configuration of the converted adapter: of twice the rank, and with a scaling of 1."""
        rank = 2 * self._method.rank
        return {**super().config(), "r": rank, "lora_alpha": rank, "use_rslora": False, "init_lora_weights": True}

    def _factors(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return {name: (_weight(layer.lora_A), _weight(layer.lora_B)) for name, layer in self.layers.items()}

    def _set(self, factors: Mapping[str, Factors]) -> None:
        for name, (down, up) in self._factors().items():
            down.copy_(factors[name].down)
            up.copy_(factors[name].up)


def _weight(factors: nn.ModuleDict) -> torch.Tensor:
    weight: torch.Tensor = factors[ADAPTER].get_parameter("weight").data
    return weight


def _targets(model: PreTrainedModel, method: LoRA) -> dict[str, float]:
    """Return the names of the modules that PEFT will adapt, and their scaling, found on a model without weights."""
    with torch.device("meta"):
        skeleton = type(model)(deepcopy(model.config))
    with_adapter(skeleton, peft_config(method), targets_field=TARGETS_FIELD)
    return {name: layer.scaling[ADAPTER] for name, layer in lora_layers(skeleton).items()}


def _shared_weights(model: PreTrainedModel) -> set[int]:
    """Return the identities of the parameters that stand in several modules."""
    seen: set[int] = set()
    shared: set[int] = set()
    for _, parameter in model.named_parameters(remove_duplicate=False):
        (shared if id(parameter) in seen else seen).add(id(parameter))
    return shared
