"""Bottleneck adapters from their files, whose format is `adapter_contract.bottleneck`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from adapter_contract import AdapterManifest, ContractError
from adapter_contract.bottleneck import BOTTLENECK, BottleneckConfig, bottleneck_tensor, find_bottleneck_problems
from adapter_contract.verify import ADAPTER_CONFIG_NAME, WEIGHTS_NAME
from adapter_server.engines.engine import AdapterRefused
from adapter_server.engines.transformers.bottleneck_layers import BottleneckAdapter, BottleneckLayer
from adapter_server.engines.transformers.engine_fit import EngineFit


class BottleneckFiles:
    """Settings of a bottleneck adapter that fit an engine.

    Args:
        config: adapter_config.json.
        manifest: of the artifact.
        fit: what they must fit.

    Raises:
        AdapterRefused: they don't.
    """

    def __init__(self, config: Mapping[str, Any], manifest: AdapterManifest, fit: EngineFit) -> None:
        if (found := config.get("peft_type")) != BOTTLENECK:
            raise AdapterRefused(
                "MethodNotSupported", f"{ADAPTER_CONFIG_NAME}: peft_type is {found!r}, not {BOTTLENECK!r}"
            )
        try:
            self._config = BottleneckConfig.from_object(config)
        except ContractError as error:
            raise AdapterRefused("AdapterRefused", str(error)) from error
        self._manifest = manifest
        self._fit = fit
        self._check_base()

    def _check_base(self) -> None:
        config, fit, name = self._config, self._fit, self._manifest.base_model.name
        if config.base_model_name_or_path != name:
            raise AdapterRefused(
                "AdapterRefused",
                f"{ADAPTER_CONFIG_NAME}: base_model_name_or_path is {config.base_model_name_or_path}, but the manifest "
                f"says {name}",
            )
        if unknown := [module for module in config.modules if module not in fit.sublayers]:
            raise AdapterRefused(
                "AdapterRefused", f"it changes {unknown[0]}, which is no attention or feed-forward network of the base"
            )
        if config.hidden_size != fit.hidden_size:
            raise AdapterRefused(
                "AdapterRefused",
                f"{ADAPTER_CONFIG_NAME}: hidden_size is {config.hidden_size}, but the base has {fit.hidden_size}",
            )

    def adapter(self, tensors: Mapping[str, Tensor]) -> BottleneckAdapter:
        """Return the adapter in memory.

        Raises:
            AdapterRefused: the tensors are not those of the settings, or no finite numbers.
        """
        if problems := find_bottleneck_problems(self._config, {name: tuple(tensors[name].shape) for name in tensors}):
            raise AdapterRefused("AdapterRefused", f"{WEIGHTS_NAME}: {problems[0]}")
        weights = {name: self._fit.weight(name, tensor) for name, tensor in sorted(tensors.items())}
        return BottleneckAdapter(
            {module: _layer(module, weights) for module in self._config.modules},
            self._config.non_linearity,
            stop_token_ids=frozenset(token.id for token in self._manifest.prompt_format.stop_tokens),
        )


def _layer(module: str, weights: Mapping[str, Tensor]) -> BottleneckLayer:
    parts = ("down.weight", "down.bias", "up.weight", "up.bias")
    down, down_bias, up, up_bias = (weights[bottleneck_tensor(module, part)] for part in parts)
    return BottleneckLayer(down, down_bias, up, up_bias)
