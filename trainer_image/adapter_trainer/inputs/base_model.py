"""The base model as a local directory, and its digest."""

import logging
from dataclasses import dataclass
from pathlib import Path

from adapter_contract import BaseModelConfig, Digest, PathSource, S3Location, S3Source
from adapter_contract.s3 import LocalModel, StoredModel, base_digest, open_store
from adapter_contract.s3.base_model_files import document_names, weight_names
from adapter_contract.s3.directories import Item, download_items
from adapter_contract.s3.rooted import storage_errors
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.failures import about
from adapter_trainer.inputs.pins import require_digest

_log = logging.getLogger(__name__)

_FIELD = "baseModel.source"


@dataclass(frozen=True, slots=True)
class FetchedBase:
    """A base model that can be loaded: its files, and the digest of what they are."""

    directory: Path
    digest: Digest


def fetch_base_model(config: BaseModelConfig, directory: Path, cache_directory: Path) -> FetchedBase:
    """Find or download the base model, and check its digest.

    A mounted model stays where it is. Of a stored one only the files are downloaded that the base digest covers:
    configuration, tokenizer, templates, safetensors.

    Args:
        config: with mounted paths as they really are.
        directory: to download to; it must not exist yet.
        cache_directory: keeps digests of weight files where none can be kept beside the model.

    Raises:
        TrainerError: InputMissing, PermissionDenied, StorageUnavailable as the store or volume fails; BadData
            where it is damaged or not the model that `baseModel.digest` names; BadConfiguration for a source
            that can't be read.
        OSError: a file can't be written.
    """
    source = config.source
    with about(_FIELD):
        if isinstance(source, S3Source):
            _download(source.location, directory)
        elif isinstance(source, PathSource):
            directory = Path(source.path)
            with storage_errors("use the base model at", str(directory)):
                directory.stat()
        else:
            raise BadConfiguration(
                f"{_FIELD}.huggingFace: this release downloads no models of the Hub; "
                f"copy {source.repository} to S3 or to a volume"
            )
        identity = config.identity.value if config.identity else None
        digest = base_digest(LocalModel(directory), identity=identity, cache_directory=cache_directory)
    require_digest(f"the base model {config.name}", digest, config.digest, "baseModel.digest")
    return FetchedBase(directory, digest)


def _download(location: S3Location, directory: Path) -> None:
    with open_store(location) as store:
        model = StoredModel(store)
        files = model.list()
        names = [*document_names(files, model.uri), *weight_names(model, files)]
        items = [Item(name, model.stat(name).size_bytes) for name in names]
        total = sum(item.size_bytes for item in items)
        _log.info("downloading the base model, %d files, %d bytes, from %s", len(items), total, model.uri)
        directory.mkdir(parents=True)
        download_items(store, "", directory, items)
