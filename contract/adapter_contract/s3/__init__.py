"""Object stores and what is built on them: artifacts by manifest, the base digest. Needs the extra `s3`."""

from adapter_contract.s3.artifacts import commit_artifact, fetch_artifact
from adapter_contract.s3.base_model import base_digest
from adapter_contract.s3.base_model_files import LocalModel, StoredModel
from adapter_contract.s3.directories import delete_prefix, download_directory, upload_directory
from adapter_contract.s3.errors import (
    AccessDenied,
    Conflict,
    Corrupted,
    InvalidLocation,
    NotFound,
    StorageError,
    Unreachable,
)
from adapter_contract.s3.objects import ObjectInfo, Progress, Transferred
from adapter_contract.s3.settings import TransferSettings
from adapter_contract.s3.store import ObjectStore, open_object, open_store

__all__ = [
    "AccessDenied",
    "Conflict",
    "Corrupted",
    "InvalidLocation",
    "LocalModel",
    "NotFound",
    "ObjectInfo",
    "ObjectStore",
    "Progress",
    "StorageError",
    "StoredModel",
    "TransferSettings",
    "Transferred",
    "Unreachable",
    "base_digest",
    "commit_artifact",
    "delete_prefix",
    "download_directory",
    "fetch_artifact",
    "open_object",
    "open_store",
    "upload_directory",
]
