"""The adapter to go on from: fetched by digest, verified, and of the same base."""

from dataclasses import dataclass
from pathlib import Path

from adapter_contract import BaseModelConfig, Digest, InitialAdapter, StoredManifest
from adapter_contract.s3 import fetch_artifact, open_store
from adapter_contract.verify import ArtifactRefused, verify_artifact
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.failures import about

_FIELD = "initializeFrom"


@dataclass(frozen=True, slots=True)
class FetchedParent:
    """A verified adapter."""

    directory: Path
    stored: StoredManifest


def fetch_parent(
    config: InitialAdapter, base: BaseModelConfig, base_digest: Digest | None, directory: Path
) -> FetchedParent:
    """Fetch and verify an adapter.

    Args:
        config: where it is, and its digest.
        base: the base model of this training, to which the adapter must belong.
        base_digest: its digest; None where it is not known, so that it can't be compared.
        directory: to download to; it must not exist yet.

    Raises:
        TrainerError: InputMissing, PermissionDenied, StorageUnavailable as the store fails; BadData where it is
            not what its digest promises; BadConfiguration where it belongs to another base.
        OSError: a file can't be written.
    """
    with about(_FIELD), open_store(config.location) as store:
        fetch_artifact(store, "", config.digest, directory)
    try:
        stored = verify_artifact(directory, expected=config.digest)
    except ArtifactRefused as error:
        raise BadData(f"{_FIELD}: {config.name}, {config.digest}: {error}; name another version") from error
    other = stored.manifest.base_model
    if other.name != base.name:
        raise BadConfiguration(
            f"{_FIELD}: {config.name}, {config.digest}, belongs to the base model {other.name}, but baseModel.name "
            f"is {base.name}; name an adapter of this base"
        )
    if base_digest is not None and other.digest != base_digest:
        raise BadConfiguration(
            f"{_FIELD}: {config.name}, {config.digest}, was trained on {other.name} with the base digest "
            f"{other.digest}, but baseModel has {base_digest}; use the same revision of the base"
        )
    return FetchedParent(directory, stored)
