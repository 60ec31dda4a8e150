"""IA3: learned vectors that rescale keys, values, and what goes into the feed-forward layers' last part.

Liu et al. 2022, arXiv:2205.05638.
"""

from typing import Any

from peft import IA3Config
from peft.tuners.ia3 import IA3Layer

from adapter_contract.manifest import AdapterFacts
from adapter_contract.recipe import IA3
from adapter_trainer.architecture.modules import ALL_LINEAR, ia3_modules
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.methods.peft_adapter import PeftAdapter
from adapter_trainer.model.methods.targets import require_linear

_TARGETS = "method.ia3.targetModules"


class IA3Adapter(PeftAdapter):
    """Vectors that rescale the outputs of linear layers, or the inputs of those that are feed-forward layers."""

    def __init__(self, base: BaseModel, method: IA3) -> None:
        """Put the adapter on the base.

        Args:
            base: whose layers are changed in place.
            method: modules that it doesn't name are those of the base's family.

        Raises:
            BadConfiguration: the family has none, or the base has no linear layers of those names.
        """
        targets, feedforward = ia3_modules(method, base.model.config.model_type)
        self._everything = targets == (ALL_LINEAR,)
        if not self._everything:
            require_linear(base.model, targets, _TARGETS)
        config = IA3Config(
            task_type="CAUSAL_LM",
            target_modules=ALL_LINEAR if self._everything else sorted(targets),
            feedforward_modules=sorted(feedforward),
        )
        super().__init__(base, config, targets_field=_TARGETS)

    def config(self) -> dict[str, Any]:
        """Return PEFT's configuration."""
        document = super().config()
        if not self._everything:
            return document
        # PEFT replaces all-linear by full names, but reads no file whose feed-forward layers are not among its targets.
        layers = {name: module for name, module in self.base.model.named_modules() if isinstance(module, IA3Layer)}
        feedforward = sorted(name for name, layer in layers.items() if layer.is_feedforward)
        return {**document, "target_modules": sorted(layers), "feedforward_modules": feedforward}

    def facts(self, size_bytes: int) -> AdapterFacts:
        """Return the target modules."""
        return AdapterFacts(
            method="IA3",
            target_modules=tuple(self.config()["target_modules"]),
            trainable_parameters=sum(weight.numel() for weight in self.weights()),
            size_bytes=size_bytes,
            dtype="Float32",
        )
