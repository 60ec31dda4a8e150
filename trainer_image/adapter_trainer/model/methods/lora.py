"""LoRA, its rank-stabilized scaling, and DoRA.

Hu et al. 2021, arXiv:2106.09685; Kalajdzievski 2023, arXiv:2312.03732; Liu et al. 2024, arXiv:2402.09353.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from peft.utils.integrations import dequantize_module_weight
from torch import nn

from adapter_contract import as_float
from adapter_contract.manifest import AdapterFacts
from adapter_contract.recipe import LoRA
from adapter_trainer.architecture.modules import ALL_LINEAR
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.dropout import SixteenBitDropout
from adapter_trainer.model.fused.linear import fuse_lora_layer
from adapter_trainer.model.methods.peft_adapter import ADAPTER, PeftAdapter
from adapter_trainer.model.methods.targets import require_linear

TARGETS_FIELD = "method.lora.targetModules"


class LoRAAdapter(PeftAdapter):
    """Low-rank changes beside linear layers.

    Attributes:
        layers: those with an adapter, by their names in the base.
    """

    layers: dict[str, LoraLayer]

    def __init__(self, base: BaseModel, method: LoRA) -> None:
        """Put the adapter on the base; it changes nothing until it is trained.

        Args:
            base: whose layers are changed in place.
            method: `all-linear` means all linear layers but the head.

        Raises:
            BadConfiguration: the base has no linear layers of the names.
        """
        self._method = method
        if method.target_modules != (ALL_LINEAR,):
            require_linear(base.model, method.target_modules, TARGETS_FIELD)
        super().__init__(base, peft_config(method), targets_field=TARGETS_FIELD)
        self.layers = lora_layers(base.model)
        self._adjust_layers()

    def _adjust_layers(self) -> None:
        """Spare work that PEFT's layers would do for every token."""
        probability = as_float(self._method.dropout)
        mixed = self.base.compute_dtype != torch.float32
        for layer in self.layers.values():
            if self._method.weight_decomposition == "Enabled":
                self._set_magnitudes(layer)
            else:
                # Autocast casts the few weights; else PEFT would cast all activations up, and autocast cast them back.
                layer.cast_input_dtype_enabled = not mixed
            if self.base.device.type == "cpu":
                if probability > 0:
                    layer.lora_dropout[ADAPTER] = SixteenBitDropout(probability).train(mode=False)
                fuse_lora_layer(layer, ADAPTER)

    def _set_magnitudes(self, layer: LoraLayer) -> None:
        """Set the magnitudes of DoRA to the norms of the weight's rows, in float32.

        PEFT computes them in the type of the weight, in bfloat16 to 0.4 percent, but the norms that it divides them by
        in float32 (as long as it casts activations up): the adapter would change the base before it is trained.
        """
        weight = dequantize_module_weight(layer.get_base_layer()).float()
        layer.lora_magnitude_vector[ADAPTER].get_parameter("weight").data = torch.linalg.vector_norm(weight, dim=1)

    @contextmanager
    def dropping_out(self) -> Iterator[None]:
        """Let the layers drop what goes into them."""
        self._let_drop(dropping=True)
        try:
            yield
        finally:
            self._let_drop(dropping=False)

    def _let_drop(self, *, dropping: bool) -> None:
        for module in self.base.model.modules():
            if isinstance(module, LoraLayer):
                module.lora_dropout.train(mode=dropping)
                # DoRA asks the layer itself whether to drop. The base's layer below it stays in evaluation mode.
                module.training = dropping

    def facts(self, size_bytes: int) -> AdapterFacts:
        """Return rank and target modules, as an engine finds them."""
        config = self.config()
        return AdapterFacts(
            method="LoRA",
            rank=config["r"],
            target_modules=tuple(config["target_modules"]),
            trainable_parameters=sum(weight.numel() for weight in self.weights()),
            size_bytes=size_bytes,
            dtype="Float32",
        )


def peft_config(method: LoRA) -> LoraConfig:
    """Return the PEFT library's configuration of a method, initialised so that it changes nothing."""
    everything = method.target_modules == (ALL_LINEAR,)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=as_float(method.dropout),
        target_modules=ALL_LINEAR if everything else list(method.target_modules),
        use_rslora=method.scaling == "RankStabilized",
        use_dora=method.weight_decomposition == "Enabled",
    )


def lora_layers(model: nn.Module) -> dict[str, LoraLayer]:
    """Return the layers of a model that have an adapter, by their names in the base, in its order."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
