"""Whether equal inputs gave an adapter before, so that nothing needs to be trained."""

from adapter_contract import ByInputPointer, ContractError, Digest, StoredManifest, TrainerConfig
from adapter_contract.artifact_files import MANIFEST_NAME
from adapter_contract.layout import ArtifactKey, ByInputKey, artifact_uri
from adapter_contract.manifest import MAX_MANIFEST_BYTES
from adapter_contract.published import PublishedAdapter
from adapter_contract.s3 import NotFound, ObjectStore, StorageError
from adapter_trainer.preflight.codes import Code
from adapter_trainer.preflight.ledger import Ledger


class _Unusable(Exception):
    """What the pointer leads to can't be used; the message says why."""


def find_reusable(
    ledger: Ledger, store: ObjectStore, config: TrainerConfig, input_digest: Digest
) -> PublishedAdapter | None:
    """Return the adapter that equal inputs gave, with what the status shows of it; None where there is none to use.

    Its manifest must have the digest that the pointer names and be of these inputs, and each of its files must be
    there in full size. What is wrong with it is a warning: the inputs are trained again.

    Args:
        ledger: for what is found.
        store: rooted at the output's URI.
        config: as declared.
        input_digest: of all inputs of this run.
    """
    if config.reuse == "Forbidden":
        return None
    key = ByInputKey(config.training.name, input_digest).key
    try:
        return _verified(store, config, key, input_digest)
    except (_Unusable, StorageError, ContractError) as error:
        ledger.add(
            Code.ReuseImpossible,
            f"output: what equal inputs gave before, by {store.uri(key)}, can't be used: {error}; the inputs are "
            "trained again",
        )
        return None


def _verified(store: ObjectStore, config: TrainerConfig, key: str, input_digest: Digest) -> PublishedAdapter | None:
    try:
        data = store.get(key, limit=ByInputPointer.max_bytes)
    except NotFound:
        return None
    pointer = ByInputPointer.from_json(data)
    if pointer.input_digest != input_digest:
        raise _Unusable(f"the pointer is that of the inputs {pointer.input_digest}")
    training, digest = config.training.name, pointer.digest
    manifest_key = ArtifactKey(training, digest, MANIFEST_NAME).key
    stored = StoredManifest.parse(store.get(manifest_key, limit=MAX_MANIFEST_BYTES), expected=digest)
    manifest = stored.manifest
    if manifest.input_digest != input_digest:
        raise _Unusable(f"its manifest says that the inputs {manifest.input_digest} gave it")
    for entry in manifest.files:
        found = store.head(ArtifactKey(training, digest, entry.path).key)
        if found is None or found.size_bytes != entry.size_bytes:
            raise _Unusable(f"{entry.path} is {'not there' if found is None else 'cut'}")
    return PublishedAdapter(
        digest=digest,
        uri=artifact_uri(config.output.location.uri, training, digest),
        metrics=manifest.metrics,
        evaluation_digest=manifest.evaluation_digest,
        summary=manifest.summary,
    )
