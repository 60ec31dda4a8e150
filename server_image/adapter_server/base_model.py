"""Bringing the base model to a local directory, and starting the engine on it. Blocking."""

import hashlib
import threading
from pathlib import Path

from adapter_contract import ExitCode, S3Source, ServerConfig, canonical_json
from adapter_contract.locations import PathSource
from adapter_contract.s3 import StorageError, download_directory, open_store
from adapter_server.engines.engine import BaseModelError, Engine, EngineSettings
from adapter_server.errors import ServerError


class Stopped(Exception):
    """The process is told to end, so the download was given up."""


def start_engine(config: ServerConfig, work: Path, stopping: threading.Event) -> Engine:
    """Return an engine that answers.

    Args:
        config: what to serve.
        work: where a base model from a store goes.
        stopping: set when nobody waits for the engine any more.

    Raises:
        Stopped: that was set during the download.
        ServerError: the base can't be brought here, or can't be served.
    """
    try:
        directory = base_directory(config, work, stopping)
        engine = _engine(config, directory, work)
        engine.start()
    except StorageError as error:
        raise ServerError(error.exit_code, f"baseModel: {error}") from error
    except BaseModelError as error:
        raise ServerError(ExitCode.BAD_DATA, f"baseModel: {error}") from error
    except OSError as error:
        raise ServerError(ExitCode.INPUT_MISSING, f"baseModel: {error}") from error
    return engine


def base_directory(config: ServerConfig, work: Path, stopping: threading.Event) -> Path:
    """Return where the base model's files lie; what lies in a store is downloaded first, once for all restarts.

    Raises:
        StorageError: it can't be downloaded.
        Stopped: nobody waits for it any more.
        OSError: it can't be stored.
        ServerError: the mounted path has no model, or it lies where this release can't read.
    """
    source = config.base_model.source
    if isinstance(source, PathSource):
        directory = Path(source.path)
        if not (directory / "config.json").is_file():
            raise ServerError(
                ExitCode.INPUT_MISSING,
                f"baseModel.source: there is no config.json in {directory}: check the volume and the path in it",
            )
        return directory
    if not isinstance(source, S3Source):
        raise ServerError(
            ExitCode.BAD_CONFIGURATION,
            "baseModel.source.huggingFace can't be read by this release: copy the model to a persistent volume claim,"
            " an image or S3-compatible storage, and name it there",
        )
    wanted = {"uri": source.location.uri, "digest": config.base_model.digest, "revision": config.base_model.revision}
    known_as = hashlib.sha256(canonical_json(wanted)).hexdigest()[:16]
    directory = work / "base-model" / known_as
    if not directory.is_dir():
        with open_store(source.location) as store:
            download_directory(store, "", directory, progress=lambda _done, _total: _go_on_unless(stopping))
    return directory


def _go_on_unless(stopping: threading.Event) -> None:
    if stopping.is_set():
        raise Stopped


def _engine(config: ServerConfig, directory: Path, work: Path) -> Engine:
    # torch and transformers take seconds to import; the management port answers meanwhile.
    from adapter_server.engines.transformers import TransformersEngine  # noqa: PLC0415

    model, limits = config.base_model, config.engine
    return TransformersEngine(
        EngineSettings(
            base_directory=directory,
            base_model_name=model.name,
            max_active_adapters=limits.max_active_adapters,
            max_rank=limits.max_rank,
            max_model_length=limits.max_model_length,
            quantization=config.quantization,
            base_digest=model.digest,
            base_identity=None if model.identity is None else model.identity.value,
            digest_cache_directory=work / "base-digests",
        )
    )
