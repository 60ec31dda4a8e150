"""The directory that is published: beside weights and configuration, what people and programs read about them."""

import json
import math
from pathlib import Path

from adapter_contract import MANIFEST_NAME, StoredManifest, TrainerConfig, list_files
from adapter_contract.verify import verify_artifact
from adapter_trainer.inputs.digests import KnownDigests
from adapter_trainer.publishing.manifest import Circumstances, build_manifest
from adapter_trainer.publishing.model_card import MODEL_CARD_NAME, model_card
from adapter_trainer.publishing.trained import Trained

CURVE_NAME = "training-curve.json"


def complete_artifact(
    directory: Path, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> StoredManifest:
    """Add curve, model card and manifest to a directory with an adapter, and verify it as every reader will.

    Args:
        directory: holds `adapter_config.json` and `adapter_model.safetensors`.
        config: as declared.
        digests: of all inputs.
        trained: what came out.
        circumstances: of the run.

    Raises:
        ArtifactRefused: no reader would take it.
        OSError: a file can't be written.
    """
    points = [{name: _finite(value) for name, value in point.items()} for point in trained.curve]
    (directory / CURVE_NAME).write_text(json.dumps({"points": points}, indent=1) + "\n", encoding="utf-8")
    draft = build_manifest(config, digests, trained, circumstances, list_files(directory))
    (directory / MODEL_CARD_NAME).write_text(model_card(draft), encoding="utf-8")
    stored = StoredManifest.seal(draft.model_copy(update={"files": list_files(directory)}))
    (directory / MANIFEST_NAME).write_bytes(stored.data)
    return verify_artifact(directory, expected=stored.digest)


def _finite(value: object) -> object:
    """JSON knows no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
