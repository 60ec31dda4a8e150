"""Where things lie below an output URI, and back: pure functions from names to keys, and their inverse.

    <training>/owner.json                                   who may write here
    <training>/artifacts/<digest>/<file>                    a published adapter; manifest.json is written last
    <training>/by-input/<input digest>                      the adapter that equal inputs gave
    <training>/runs/<uid>-<run>                             the result of a run
    <training>/checkpoints/<uid>/<spec hash>/<step>/<file>  a checkpoint; manifest.json is written last
    <training>/write-probe                                  written and deleted by preflight

In a key a digest stands as `sha256-<64 hex>`, not with its colon: S3 would take that, but it is reserved in URLs
(clients disagree on escaping it), forbidden on some file systems and the separator of PATH-like lists. Keys of
directories end with a slash. Numbers have no leading zeros, so every key has one spelling.
"""

import re
from dataclasses import dataclass

from adapter_contract.artifact_files import checked_path
from adapter_contract.digests import DIGEST_PATTERN, Digest, sha256_json
from adapter_contract.errors import ContractError
from adapter_contract.scalars import MAX_SAFE_INTEGER, NAME_PATTERN, UID_PATTERN

_NAME = re.compile(NAME_PATTERN)
_UID = re.compile(UID_PATTERN)
_DIGEST = re.compile(DIGEST_PATTERN)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")


class NotInLayoutError(ContractError):
    """A key, or a name to make one of, that this layout does not have."""


def digest_segment(digest: Digest) -> str:
    """Return a digest as it stands in a key: `sha256-<hex>`."""
    return _checked(_DIGEST, digest, "digest").replace(":", "-", 1)


def segment_digest(segment: str) -> Digest:
    """Return the digest that stands in a key; the inverse of `digest_segment`."""
    if not segment.startswith("sha256-"):
        raise NotInLayoutError(f"{segment!r} is no digest in a key; expected sha256-<64 hex>")
    return _checked(_DIGEST, segment.replace("-", ":", 1), "digest")


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """The document that says whose training this is."""

    training: str

    @property
    def key(self) -> str:
        """The key below the output URI."""
        return f"{training_prefix(self.training)}owner.json"


@dataclass(frozen=True, slots=True)
class ProbeKey:
    """The object that preflight writes and deletes to learn whether it may."""

    training: str

    @property
    def key(self) -> str:
        """The key below the output URI."""
        return f"{training_prefix(self.training)}write-probe"


@dataclass(frozen=True, slots=True)
class ArtifactKey:
    """A file of a published adapter, or with no path its directory."""

    training: str
    digest: Digest
    path: str = ""

    @property
    def key(self) -> str:
        """The key below the output URI."""
        return f"{artifacts_prefix(self.training)}{digest_segment(self.digest)}/{_checked_rest(self.path)}"


@dataclass(frozen=True, slots=True)
class ByInputKey:
    """The pointer from equal inputs to the adapter that they gave."""

    training: str
    input_digest: Digest

    @property
    def key(self) -> str:
        """The key below the output URI."""
        return f"{training_prefix(self.training)}by-input/{digest_segment(self.input_digest)}"


@dataclass(frozen=True, slots=True)
class RunKey:
    """The result of one run of one AdapterTraining object."""

    training: str
    uid: str
    run: int

    @property
    def key(self) -> str:
        """The key below the output URI."""
        return f"{runs_prefix(self.training)}{_checked(_UID, self.uid, 'uid')}-{_number(self.run, least=1)}"


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """A file of a checkpoint, or with no path its directory."""

    training: str
    uid: str
    spec_hash: Digest
    step: int
    path: str = ""

    @property
    def key(self) -> str:
        """The key below the output URI."""
        prefix = checkpoints_prefix(self.training, self.uid, self.spec_hash)
        return f"{prefix}{_number(self.step, least=0)}/{_checked_rest(self.path)}"


LayoutKey = OwnerKey | ProbeKey | ArtifactKey | ByInputKey | RunKey | CheckpointKey


def training_prefix(training: str) -> str:
    """Return the prefix of everything of a training."""
    return f"{_checked(_NAME, training, 'training')}/"


def artifacts_prefix(training: str) -> str:
    """Return the prefix of all published adapters of a training."""
    return f"{training_prefix(training)}artifacts/"


def runs_prefix(training: str) -> str:
    """Return the prefix of all results of a training's runs."""
    return f"{training_prefix(training)}runs/"


def checkpoints_prefix(training: str, uid: str, spec_hash: Digest) -> str:
    """Return the prefix of all checkpoints that runs with this spec hash may resume from."""
    uid = _checked(_UID, uid, "uid")
    return f"{training_prefix(training)}checkpoints/{uid}/{digest_segment(spec_hash)}/"


def artifact_uri(output_uri: str, training: str, digest: Digest) -> str:
    """Return the URI of a published adapter's directory; so a digest resolves when nothing else is left of it."""
    return f"{output_uri.removesuffix('/')}/{ArtifactKey(training, digest).key}"


def parse_artifact_uri(uri: str) -> tuple[str, ArtifactKey]:
    """Split the URI of an artifact's directory into the output URI and the key; inverse of `artifact_uri`."""
    match = re.fullmatch(r"(?P<output>.+)/(?P<training>[^/]+)/artifacts/(?P<digest>[^/]+)/?", uri)
    if match is None:
        raise NotInLayoutError(f"{uri!r} is no <output uri>/<training>/artifacts/sha256-<hex>/")
    training = _checked(_NAME, match["training"], "training")
    return match["output"], ArtifactKey(training, segment_digest(match["digest"]))


def parse_key(key: str) -> LayoutKey:
    """Read a key below an output URI; the inverse of the `key` properties.

    Raises:
        NotInLayoutError: the key has no place in this layout, or another spelling than it would be given.
    """
    parsed: LayoutKey | None = None
    match key.split("/"):
        case [training, "owner.json"]:
            parsed = OwnerKey(training)
        case [training, "write-probe"]:
            parsed = ProbeKey(training)
        case [training, "artifacts", digest, *rest] if rest:
            parsed = ArtifactKey(training, segment_digest(digest), "/".join(rest))
        case [training, "by-input", digest]:
            parsed = ByInputKey(training, segment_digest(digest))
        case [training, "runs", name]:
            uid, _, run = name.rpartition("-")
            parsed = RunKey(training, uid, _parsed_number(run))
        case [training, "checkpoints", uid, spec_hash, step, *rest] if rest:
            number = _parsed_number(step)
            parsed = CheckpointKey(training, uid, segment_digest(spec_hash), number, "/".join(rest))
    if parsed is None or parsed.key != key:
        raise NotInLayoutError(f"{key!r} has no place in the layout of an output")
    return parsed


def input_digest(
    *,
    recipe_hash: Digest,
    dataset_digest: Digest,
    evaluation_digest: Digest | None,
    base_digest: Digest,
    parent_digest: Digest | None,
) -> Digest:
    """Return the digest of all that decides what is trained; equal inputs are not trained twice.

    It is the sha256 of the canonical JSON object with these members; what is None is left out.
    """
    members = {
        "baseDigest": base_digest,
        "datasetDigest": dataset_digest,
        "evaluationDigest": evaluation_digest,
        "parentDigest": parent_digest,
        "recipeHash": recipe_hash,
    }
    return sha256_json({name: digest for name, digest in members.items() if digest is not None})


def _checked(pattern: re.Pattern[str], value: str, what: str) -> str:
    # search() lets `$` match before a line feed at the end, which no key may have.
    if pattern.search(value) is None or value.endswith("\n"):
        raise NotInLayoutError(f"{value!r} is no {what} that can stand in a key")
    return value


def _checked_rest(path: str) -> str:
    if not path:
        return path
    try:
        return checked_path(path)
    except ValueError as error:
        raise NotInLayoutError(str(error)) from error


def _number(value: int, *, least: int) -> str:
    if not least <= value <= MAX_SAFE_INTEGER:
        raise NotInLayoutError(f"{value} is outside {least} .. 2^53 - 1")
    return str(value)


def _parsed_number(text: str) -> int:
    if _NUMBER.fullmatch(text) is None:
        raise NotInLayoutError(f"{text!r} is no number as it stands in a key")
    return int(text)
