"""Writing an adapter as PEFT reads it: adapter_config.json and adapter_model.safetensors."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save_file

from adapter_contract.manifest import AdapterFacts
from adapter_trainer.errors import Diverged
from adapter_trainer.model.lora import ADAPTER, CONFIG_FILE, WEIGHTS_FILE, TrainableModel


@dataclass(frozen=True, slots=True)
class SavedAdapter:
    """The files of an adapter, and what an engine must know of it."""

    config: Path
    weights: Path
    facts: AdapterFacts


def save_adapter(model: TrainableModel, directory: Path, *, base_model_name: str) -> SavedAdapter:
    """Write the adapter's files. Equal weights give equal bytes.

    Args:
        model: with the weights to save.
        directory: made if it isn't there.
        base_model_name: the served name of the base, for `base_model_name_or_path`.

    Raises:
        Diverged: a weight is not a finite number; nothing is written.
    """
    # PEFT would else look the base up on the Hub, to find out whether its vocabulary was resized.
    state: dict[str, torch.Tensor] = get_peft_model_state_dict(
        model.peft, adapter_name=ADAPTER, save_embedding_layers=False
    )
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(state.items())}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise Diverged(f"the adapter's weights hold NaN or infinity ({name}): lower hyperparameters.learningRate")
    directory.mkdir(parents=True, exist_ok=True)
    weights = directory / WEIGHTS_FILE
    save_file(tensors, weights, metadata={"format": "pt"})
    config = directory / CONFIG_FILE
    document = _config(model, base_model_name)
    config.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    facts = AdapterFacts(
        method="LoRA",
        rank=model.method.rank,
        target_modules=tuple(document["target_modules"]),
        trainable_parameters=sum(weight.numel() for weight in model.weights()),
        size_bytes=weights.stat().st_size,
        dtype="Float32",
    )
    return SavedAdapter(config, weights, facts)


def _config(model: TrainableModel, base_model_name: str) -> dict[str, Any]:
    document: dict[str, Any] = model.peft.peft_config[ADAPTER].to_dict()
    document["base_model_name_or_path"] = base_model_name
    document["inference_mode"] = True
    # PEFT has the modules' names in sets, whose order changes from process to process.
    return {name: sorted(value) if isinstance(value, set) else value for name, value in document.items()}
