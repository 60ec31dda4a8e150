"""The base digest: one value for one base model, wherever its files lie, without reading 140 GB twice."""

import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from adapter_contract.digests import sha256_bytes, sha256_chunks, sha256_json
from adapter_contract.s3.base_model_cache import CachedDigest, DigestCache
from adapter_contract.s3.base_model_files import (
    LocalModel,
    ModelFiles,
    StoredModel,
    document_names,
    weight_names,
)
from adapter_contract.s3.errors import Conflict, Corrupted
from adapter_contract.safetensors_header import (
    LENGTH_BYTES,
    MAX_HEADER_BYTES,
    InvalidSafetensorsError,
    parse_header,
)

_log = logging.getLogger(__name__)

_DIGEST_VERSION = 1
_AT_ONCE = 4


def base_digest(
    model: ModelFiles,
    *,
    identity: str | None = None,
    cache_directory: Path | None = None,
    content_digests: Mapping[str, str] | None = None,
) -> str:
    """Return the digest of a base model.

    It is the SHA-256 of canonical JSON with: the digests of configuration, tokenizer and template files; of each
    safetensors file its name, size and the digest of its raw header; and the store's immutable identity. Where
    there is none, the digest of each whole file stands in its place, computed once and then taken from a cache
    beside the model (`.adapter-base-digest.json`), or in `cache_directory` where nothing can be written there.
    An entry of the cache counts only while the file's size, its header and its mark are the same: inode and times
    of modification and change; in a store its ETag.

    Equal files give equal digests as a directory and in a store, given the same identity or none.

    Args:
        model: where the files are.
        identity: what names these very bytes for ever: an image digest, a commit of the Hub. Never a tag.
        cache_directory: writable; for models that are mounted read-only or lie in another's bucket.
        content_digests: of the whole weight files, by name, where they are known already: then none is read. Other
            models than LocalModel and StoredModel need them, or an identity.

    Raises:
        ValueError: nothing tells the weights of a model that is neither local nor stored.
        StorageError: NotFound or InvalidLocation where it is no usable model, with the fix; Corrupted where a
            safetensors file is cut; Conflict where one changes meanwhile.

    """
    files = model.list()
    documents = [
        {"path": name, "digest": sha256_chunks(model.chunks(name))} for name in document_names(files, model.uri)
    ]
    wanted = {name: _examined(model, name) for name in weight_names(model, files)}
    known: Mapping[str, str] = {}
    if not identity:
        known = content_digests or _content_digests(model, wanted, cache_directory)
    weights = [_weights_entry(entry, known.get(name)) for name, entry in wanted.items()]
    return sha256_json(
        {
            "baseDigestVersion": _DIGEST_VERSION,
            "documents": documents,
            "identity": identity or "",
            "weights": weights,
        }
    )


def _weights_entry(entry: CachedDigest, digest: str | None) -> dict[str, Any]:
    facts = {"path": entry.path, "sizeBytes": entry.size_bytes, "headerDigest": entry.header_digest}
    return facts if digest is None else facts | {"digest": digest}


def _examined(model: ModelFiles, name: str) -> CachedDigest:
    """Return what is known of a weight file without reading it whole: size, mark, digest of the header."""
    file = model.stat(name)
    try:
        if file.size_bytes < LENGTH_BYTES:
            raise InvalidSafetensorsError(f"the file has {file.size_bytes} bytes")  # noqa: TRY301 - one place words it
        length = int.from_bytes(model.read(name, 0, LENGTH_BYTES), "little")
        if length > min(MAX_HEADER_BYTES, file.size_bytes - LENGTH_BYTES):
            raise InvalidSafetensorsError(f"a header of {length} bytes does not fit")  # noqa: TRY301 - as above
        header = parse_header(model.read(name, LENGTH_BYTES, length))
        header.check_file_size(file.size_bytes)
    except InvalidSafetensorsError as error:
        raise Corrupted("use the base model", model.uri + name, str(error), "copy the file again") from error
    return CachedDigest.unknown(name, file, sha256_bytes(header.raw))


def _content_digests(
    model: ModelFiles, wanted: Mapping[str, CachedDigest], cache_directory: Path | None
) -> dict[str, str]:
    """Return the digests of whole files, from the cache where it may be trusted; new ones are kept there."""
    if not isinstance(model, LocalModel | StoredModel):
        raise ValueError(f"{model.uri} is neither local nor stored, so its digests can't be kept")  # noqa: TRY004
    cache = DigestCache(model, cache_directory)
    known = cache.load(wanted)
    missing = [entry for name, entry in wanted.items() if name not in known]
    if missing:
        total = sum(entry.size_bytes for entry in missing)
        _log.info("%s: reading %d weight files, %d bytes, for their digests", model.uri, len(missing), total)
    lock, cancelled = threading.Lock(), threading.Event()

    def compute(entry: CachedDigest) -> None:
        computed = _computed(model, entry, cancelled)
        with lock:  # kept by the thread that computed it, so that no finished file is lost by the failure of another
            known[computed.path] = computed
            cache.save(known.values())

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="base-digest") as pool:
        futures = [pool.submit(compute, entry) for entry in missing]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise
    return {name: entry.digest for name, entry in known.items() if entry.digest is not None}


def _computed(model: ModelFiles, entry: CachedDigest, cancelled: threading.Event) -> CachedDigest:
    computed = entry.with_digest(sha256_chunks(_until(cancelled, model.chunks(entry.path))))
    after = model.stat(entry.path)
    if (after.size_bytes, after.mark) != (entry.size_bytes, entry.mark):
        raise Conflict(
            "use the base model", model.uri + entry.path, "it changed while it was read", "wait for the copy to end"
        )
    return computed


def _until(cancelled: threading.Event, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if cancelled.is_set():
            raise CancelledError
        yield chunk
