"""Writing an adapter: adapter_config.json and adapter_model.safetensors."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from adapter_contract.manifest import AdapterFacts
from adapter_contract.verify import ADAPTER_CONFIG_NAME, WEIGHTS_NAME
from adapter_trainer.errors import Diverged
from adapter_trainer.model.adapted import AdaptedModel


@dataclass(frozen=True, slots=True)
class SavedAdapter:
    """The files of an adapter, and what an engine must know of it."""

    config: Path
    weights: Path
    facts: AdapterFacts


def save_adapter(model: AdaptedModel, directory: Path, *, base_model_name: str) -> SavedAdapter:
    """Write the adapter's files. Equal weights give equal bytes.

    Args:
        model: with the weights to save.
        directory: made if it isn't there.
        base_model_name: the served name of the base, for `base_model_name_or_path`.

    Raises:
        Diverged: a weight is not a finite number; nothing is written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(model.tensors().items())}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise Diverged(f"the adapter's weights hold NaN or infinity ({name}): lower hyperparameters.learningRate")
    directory.mkdir(parents=True, exist_ok=True)
    weights = directory / WEIGHTS_NAME
    save_file(tensors, weights, metadata={"format": "pt"})
    config = directory / ADAPTER_CONFIG_NAME
    document = {**model.config(), "base_model_name_or_path": base_model_name}
    config.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return SavedAdapter(config, weights, model.facts(weights.stat().st_size))
