"""Publishing by manifest: the files first, the manifest last; nothing is an artifact without its manifest.

A manifest is any JSON object with a member `files`, a list of `{path, sizeBytes, digest}`: that of an adapter
and that of a checkpoint alike. Its digest, the SHA-256 of its bytes, names what was published.
"""

from pathlib import Path

from pydantic import ValidationError

from adapter_contract.artifact_files import MANIFEST_NAME, FileEntries
from adapter_contract.digests import sha256_bytes
from adapter_contract.documents import Part, parse_object
from adapter_contract.errors import ContractError
from adapter_contract.manifest import MAX_MANIFEST_BYTES
from adapter_contract.s3.atomic import new_directory, new_file, write_all
from adapter_contract.s3.directories import Item, download_items, local_items, upload_items
from adapter_contract.s3.errors import AccessDenied, Conflict, Corrupted, NotFound
from adapter_contract.s3.keys import join_key
from adapter_contract.s3.objects import Progress
from adapter_contract.s3.store import ObjectStore


class _Listing(Part):
    files: FileEntries


def commit_artifact(
    store: ObjectStore, prefix: str, directory: Path, manifest: bytes, *, progress: Progress | None = None
) -> str:
    """Publish the files that a manifest lists, then the manifest; return its digest. May be repeated.

    A manifest that is there with equal bytes is success; all its files are uploaded again then, since no listing
    shows which of them are damaged. With other bytes it is a Conflict, and nothing is written. Files of the
    directory that the manifest does not list stay where they are.

    Two writers with different manifests under one prefix may overwrite each other's files before one of them
    loses: give each content a prefix of its own (an artifact's has its digest), or each prefix one writer.

    Raises:
        StorageError: Conflict, see above; Corrupted where the manifest or a file is not what it should be.
        OSError: a listed file can't be read.

    """
    key = join_key(prefix, MANIFEST_NAME)
    items = _listed("publish", store.uri(key), manifest)
    local_items(directory)  # refuses links and devices
    _refuse_other_manifest(store, key, manifest)
    upload_items(store, directory, prefix, items, progress=progress)
    store.put_if_absent(key, manifest)
    return sha256_bytes(manifest)


def _refuse_other_manifest(store: ObjectStore, key: str, manifest: bytes) -> None:
    try:
        found = store.get(key, limit=MAX_MANIFEST_BYTES)
    except (NotFound, AccessDenied):  # who may only write is denied the look; the write at the end decides
        return
    if found != manifest:
        raise Conflict(
            "publish", store.uri(key), f"another manifest is there, {sha256_bytes(found)}", "use another prefix"
        )


def fetch_artifact(
    store: ObjectStore, prefix: str, digest: str, destination: Path, *, progress: Progress | None = None
) -> bytes:
    """Download what a manifest lists, and the manifest, into a new directory; return the manifest's bytes.

    The destination appears whole, verified against the digest and synchronized, or not at all. Objects that
    the manifest does not list are left alone.

    Args:
        store: where it was published.
        prefix: the directory in the store.
        digest: of the manifest, `sha256:...`: the only thing that is trusted.
        destination: a directory that does not exist yet; its parents are made.
        progress: over the bytes of all files.

    Raises:
        StorageError: NotFound where there is no manifest, since nothing was published then; Corrupted where
            the manifest, or any file, is missing, cut or has another digest.
        FileExistsError: the destination is there already.
        OSError: a file can't be written.

    """
    key = join_key(prefix, MANIFEST_NAME)
    manifest = store.get(key, limit=MAX_MANIFEST_BYTES)
    found = sha256_bytes(manifest)
    if found != digest:
        raise Corrupted(
            "fetch", store.uri(key), f"its digest is {found}, expected {digest}", "do not use it; publish it again"
        )
    items = _listed("fetch", store.uri(key), manifest)
    with new_directory(destination) as temporary:
        try:
            download_items(store, prefix, temporary, items, progress=progress)
        except NotFound as error:
            raise Corrupted("fetch", error.uri, "the manifest lists it, but it is gone", "publish it again") from error
        with new_file(temporary / MANIFEST_NAME) as descriptor:
            write_all(descriptor, manifest, 0)
    return manifest


def _listed(operation: str, uri: str, manifest: bytes) -> tuple[Item, ...]:
    try:
        parse_object(manifest, limit=MAX_MANIFEST_BYTES)
        listing = _Listing.model_validate_json(manifest, extra="ignore", by_alias=True, by_name=False)
    except (ContractError, ValidationError) as error:
        raise Corrupted(operation, uri, "it is no manifest with a valid list of files", "write it again") from error
    return tuple(Item(entry.path, entry.size_bytes, entry.digest) for entry in listing.files)
