"""Putting a LoRA adapter on a base model, fresh or as an earlier one left it."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from adapter_contract import as_float
from adapter_contract.recipe import LoRA, Method
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.model.base import BaseModel
from adapter_trainer.model.dropout import SixteenBitDropout

ADAPTER = "default"
"""PEFT's name of the adapter that is trained."""

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"


@dataclass(frozen=True)
class TrainableModel:
    """A base model with an adapter whose weights, in float32, are all that is trained."""

    base: BaseModel
    peft: PeftModel
    method: LoRA

    @contextmanager
    def dropping_out(self) -> Iterator[None]:
        """Let the adapter's layers drop activations, as in training; at other times they don't."""
        dropouts = [layer.lora_dropout for layer in self.peft.modules() if isinstance(layer, LoraLayer)]
        for dropout in dropouts:
            dropout.train()
        try:
            yield
        finally:
            for dropout in dropouts:
                dropout.train(mode=False)

    def weights(self) -> Iterator[nn.Parameter]:
        """Yield the adapter's weights, always in the same order."""
        return (parameter for parameter in self.peft.parameters() if parameter.requires_grad)


def attach_adapter(base: BaseModel, method: Method, *, parent: Path | None, seed: int) -> TrainableModel:
    """Put an adapter on a base model, which then can't take another.

    Args:
        base: the model, whose layers are changed in place.
        method: rank, target modules and the rest.
        parent: directory of a verified adapter to go on from.
        seed: of the initial weights.

    Raises:
        BadConfiguration: this release can't train the method, a target module doesn't exist, or the parent was made
            with another method.
        BadData: the parent's files can't be read.
    """
    if not isinstance(method, LoRA):
        raise BadConfiguration(f"method.type: this release trains LoRA only, not {method.type}")
    if method.initialization != "Default":
        raise BadConfiguration(
            f"method.lora.initialization: this release knows Default only, not {method.initialization}"
        )
    torch.manual_seed(seed)
    model = TrainableModel(base, _adapted(base, method), method)
    for weight in model.weights():
        weight.data = weight.data.float()
    if parent is not None:
        _go_on_from(parent, model)
    _adjust_layers(model)
    model.peft.train(mode=False)
    return model


def _adapted(base: BaseModel, method: LoRA) -> PeftModel:
    with warnings.catch_warnings():
        # PEFT 0.21 asks transformers 5.23 by a name that is to go in version 6.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        try:
            return get_peft_model(base.model, _peft_config(method))
        except ValueError as error:
            names = ", ".join(method.target_modules)
            raise BadConfiguration(
                f"method.lora.targetModules: {names} can't be adapted in the base model: {error}"
            ) from error


def _peft_config(method: LoRA) -> LoraConfig:
    everything = method.target_modules == ("all-linear",)
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=as_float(method.dropout),
        target_modules="all-linear" if everything else list(method.target_modules),
        use_rslora=method.scaling == "RankStabilized",
        use_dora=method.weight_decomposition == "Enabled",
    )


def _adjust_layers(model: TrainableModel) -> None:
    """Spare work that PEFT's layers would do for every token."""
    probability = as_float(model.method.dropout)
    mixed = model.base.compute_dtype != torch.float32
    for layer in model.peft.modules():
        if not isinstance(layer, LoraLayer):
            continue
        # Autocast casts the few weights; without it, PEFT would cast all activations up and autocast cast them back.
        layer.cast_input_dtype_enabled = not mixed
        if probability > 0 and model.base.device.type == "cpu":
            layer.lora_dropout[ADAPTER] = SixteenBitDropout(probability)


def _go_on_from(parent: Path, model: TrainableModel) -> None:
    _require_equal_method(_read_config(parent), model)
    try:
        state = load_file(parent / WEIGHTS_FILE)
    except (OSError, SafetensorError) as error:
        raise BadData(f"initializeFrom: {WEIGHTS_FILE} of the adapter to go on from can't be read: {error}") from error
    try:
        outcome: Any = set_peft_model_state_dict(model.peft, state, adapter_name=ADAPTER)
    except RuntimeError as error:
        raise BadConfiguration(
            f"initializeFrom: the adapter's weights have other shapes than method says: {error}"
        ) from error
    absent = [name for name in outcome.missing_keys if f".{ADAPTER}" in name]
    if absent or outcome.unexpected_keys:
        raise BadConfiguration(
            "initializeFrom: the adapter to go on from has other target modules than method.lora.targetModules "
            f"(it differs at {(absent or outcome.unexpected_keys)[0]}): set them to the adapter's own"
        )


def _read_config(parent: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((parent / CONFIG_FILE).read_bytes())
        config.get("peft_type")
    except (OSError, ValueError, AttributeError) as error:
        raise BadData(f"initializeFrom: {CONFIG_FILE} of the adapter to go on from can't be read: {error}") from error
    return config


def _require_equal_method(config: dict[str, Any], model: TrainableModel) -> None:
    method = model.method
    wanted = {
        "peft_type": ("method.type", "LORA"),
        "r": ("method.lora.rank", method.rank),
        "lora_alpha": ("method.lora.alpha", method.alpha),
        "use_rslora": ("method.lora.scaling (rank-stabilized)", method.scaling == "RankStabilized"),
        "use_dora": ("method.lora.weightDecomposition (DoRA)", method.weight_decomposition == "Enabled"),
    }
    for key, (field, value) in wanted.items():
        found = config.get(key, False)
        if found != value:
            raise BadConfiguration(
                f"initializeFrom: the adapter to go on from was made with {key} {found!r}, but {field} asks for "
                f"{value!r}: they must agree"
            )
