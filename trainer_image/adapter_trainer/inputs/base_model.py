"""The base model as a local directory, and its digest."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter_contract import BaseModelConfig, Digest, HubModelSource, PathSource, S3Location, S3Source
from adapter_contract.s3 import LocalModel, StoredModel, base_digest, open_store
from adapter_contract.s3.base_model_files import ModelFiles, document_names, weight_names
from adapter_contract.s3.directories import Item, download_items
from adapter_contract.s3.rooted import storage_errors
from adapter_trainer.failures import about
from adapter_trainer.inputs.pins import require_digest

_log = logging.getLogger(__name__)

_FIELD = "baseModel.source"


@dataclass(frozen=True, slots=True)
class FetchedBase:
    """A base model that can be loaded.

    Attributes:
        directory: with its files.
        digest: the base digest of what they are.
        commit: which of the Hub's commits it is, where it comes from there.
    """

    directory: Path
    digest: Digest
    commit: str | None = None


def fetch_base_model(config: BaseModelConfig, directory: Path, cache_directory: Path) -> FetchedBase:
    """Find or download the base model, and check its digest.

    A mounted model stays where it is. Of a stored one only the files are downloaded that the base digest covers:
    configuration, tokenizer, templates, safetensors. A model of the Hub has the digest that the same files have in a
    store or on a volume, so that what was trained on one can be served on the other.

    Args:
        config: with mounted paths as they really are.
        directory: to download to; it must not exist yet.
        cache_directory: keeps digests of weight files where none can be kept beside the model.

    Raises:
        TrainerError: InputMissing, PermissionDenied, StorageUnavailable as the store, the Hub or the volume fails;
            BadData where it is damaged or not the model that `baseModel.digest` names; BadConfiguration for a
            source that can't be read.
        OSError: a file can't be written.
    """
    source, commit = config.source, None
    known: Mapping[str, Digest] | None = None
    with about(_FIELD):
        if isinstance(source, S3Source):
            _download(source.location, directory)
        elif isinstance(source, PathSource):
            directory = Path(source.path)
            with storage_errors("use the base model at", str(directory)):
                directory.stat()
        else:
            commit, known = _download_from_hub(source, directory)
        identity = config.identity.value if config.identity else None
        digest = base_digest(
            LocalModel(directory), identity=identity, cache_directory=cache_directory, content_digests=known
        )
    require_digest(f"the base model {config.name}", digest, config.digest, "baseModel.digest")
    return FetchedBase(directory, digest, commit)


def _download(location: S3Location, directory: Path) -> None:
    with open_store(location) as store:
        model = StoredModel(store)
        items = [Item(name, model.stat(name).size_bytes) for name in covered_files(model)]
        _log_download(model.uri, [item.size_bytes for item in items])
        directory.mkdir(parents=True)
        download_items(store, "", directory, items)


def _download_from_hub(source: HubModelSource, directory: Path) -> tuple[str, Mapping[str, Digest]]:
    # A client of the Hub is loaded only by who asks it.
    from adapter_trainer.inputs.hub import HubRepository  # noqa: PLC0415
    from adapter_trainer.inputs.hub_model import HubModel  # noqa: PLC0415

    with HubRepository(source, "model") as repository:
        model = HubModel(repository)
        names = covered_files(model)
        _log_download(model.uri, [model.stat(name).size_bytes for name in names])
        directory.mkdir(parents=True)
        transferred = repository.download(names, directory)
        return repository.commit, {name: transferred[name].digest for name in names}


def covered_files(model: ModelFiles) -> list[str]:
    """Return the files that the base digest covers: all that is needed to load the model.

    Raises:
        StorageError: it is no model, or none that can be loaded.
    """
    files = model.list()
    return sorted({*document_names(files, model.uri), *weight_names(model, files)})


def _log_download(uri: str, sizes: Sequence[int]) -> None:
    _log.info("downloading the base model, %d files, %d bytes, from %s", len(sizes), sum(sizes), uri)
