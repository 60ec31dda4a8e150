"""AdapterSet: what a server pod shall serve, and AdapterReport: what it serves.

The operator writes one set per base and engine into a config map; pods mount it and make it so. The report is
the body of GET /v1/adapters.
"""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from adapter_contract.digests import Digest, sha256_json
from adapter_contract.documents import Document, Part
from adapter_contract.locations import S3Access, StorageURI
from adapter_contract.scalars import (
    Count,
    DecimalString,
    Message,
    Name,
    PositiveCount,
    Reason,
    ShortText,
    Timestamp,
    as_decimal,
)
from adapter_contract.trainer_config import ModelName

MAX_ADAPTERS = 256
MAX_COMPONENTS = 16
ENGINE_DIGEST_DIGITS = 12


def engine_name(name: str, digest: Digest) -> str:
    """Return the name under which an engine knows one version: `<name>--<first 12 hex digits of its digest>`.

    Other bytes have another engine name, so neither stale weights nor a stale prefix cache can answer for them.
    """
    return f"{name}--{digest.removeprefix('sha256:')[:ENGINE_DIGEST_DIGITS]}"


class MergeComponent(Part):
    """One adapter of a merge: its digest, the URI of its directory `artifacts/<digest>/`, and its weight."""

    name: Name
    digest: Digest
    uri: StorageURI
    weight: DecimalString


class MergeDefinition(Part):
    """Adapters that are combined into one when they are loaded.

    Attributes:
        density: share of the weights that TIES and DARE keep; absent for Linear, and only there.
    """

    method: Literal["Linear", "TIES", "DARE"]
    density: DecimalString | None = None
    components: Annotated[tuple[MergeComponent, ...], Field(min_length=2, max_length=MAX_COMPONENTS)]

    @model_validator(mode="after")
    def _components_are_unique(self) -> Self:
        _require_unique("components", [component.name for component in self.components])
        return self

    @model_validator(mode="after")
    def _density_fits_method(self) -> Self:
        if (self.density is None) != (self.method == "Linear"):
            raise ValueError("density: TIES and DARE need it, Linear takes none")
        return self

    @property
    def digest(self) -> Digest:
        """The digest of the recipe: method, density, digests and weights. Names, locations and order do not count."""
        components = sorted([part.digest, _plain(part.weight)] for part in self.components)
        density = {} if self.density is None else {"density": _plain(self.density)}
        return sha256_json({"components": components, "method": self.method, **density})


def _plain(text: DecimalString) -> str:
    """One spelling for equal numbers: `0.50` is `0.5`."""
    number = as_decimal(text)
    return "0" if number == 0 else f"{number.normalize():f}"


class AdapterVersion(Part):
    """The bytes of one version: a published adapter by its URI, or a merge by its definition, not both.

    The digest of a merge is its definition's.
    """

    digest: Digest
    uri: StorageURI | None = None
    merge: MergeDefinition | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _require_one_source(self.digest, self.uri, self.merge)
        return self


class AdapterEntry(Part):
    """One model name that clients may send, and the version to serve for it, as in `AdapterVersion`.

    An entry without a digest is known but waits for its training: it answers 503, not 404.

    Attributes:
        policy: Required adapters are loaded once before the pod turns Ready.
        fallback: what was last served anywhere, to be served where `digest` is refused or not there yet.
    """

    name: Name
    policy: Literal["Optional", "Required"]
    digest: Digest | None = None
    uri: StorageURI | None = None
    merge: MergeDefinition | None = None
    fallback: AdapterVersion | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        _require_one_source(self.digest, self.uri, self.merge)
        return self

    @property
    def desired(self) -> AdapterVersion | None:
        """The version to serve; None while there is none."""
        if self.digest is None:
            return None
        return AdapterVersion(digest=self.digest, uri=self.uri, merge=self.merge)


class AdapterLimits(Part):
    """What the engine was started with, and how long requests may take; absent means the image's default."""

    max_active_adapters: PositiveCount | None = None
    max_cached_adapters: PositiveCount | None = None
    max_rank: PositiveCount | None = None
    request_timeout_seconds: PositiveCount | None = None


class AdapterSet(Document):
    """All adapters of one base and engine.

    Its schema version is the contract version that a server image declares: the operator writes the set for
    that image with `to_json(version=...)`.

    Attributes:
        generation: grows with every change; pods report the one that they applied.
        storage: the one way in which all URIs are reached: `storage.at(uri)` is the location.
    """

    kind: ClassVar[str] = "AdapterSet"
    written_by: ClassVar[str] = "the operator"
    read_by: ClassVar[str] = "the server image"

    generation: Count
    base_model_name: ModelName
    storage: S3Access = Field(default_factory=S3Access)
    limits: AdapterLimits = Field(default_factory=AdapterLimits)
    adapters: Annotated[tuple[AdapterEntry, ...], Field(max_length=MAX_ADAPTERS)] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [entry.name for entry in self.adapters]
        _require_unique("adapters", names)
        taken = {
            engine_name(entry.name, version.digest)
            for entry in self.adapters
            for version in (entry.desired, entry.fallback)
            if version is not None
        }
        taken.add(self.base_model_name)
        if clashes := sorted(taken.intersection(names)):
            raise ValueError(f"adapters: {clashes[0]!r} is the name of the base or of another adapter's version")
        return self


class AdapterState(StrEnum):
    """How far a pod is with the desired version of an adapter.

    Waiting: the set has no digest for it yet. Pending: queued. Downloading, Verifying, Loading: on the way.
    Served: verified, loaded and probed once; it may rest on disk. Refused: the bytes are wrong or do not fit
    this engine, and only another version helps. Failed: an error that is tried again. Unloading: no longer in
    the set, and its last requests end.
    """

    WAITING = "Waiting"
    PENDING = "Pending"
    DOWNLOADING = "Downloading"
    VERIFYING = "Verifying"
    LOADING = "Loading"
    SERVED = "Served"
    REFUSED = "Refused"
    FAILED = "Failed"
    UNLOADING = "Unloading"


class AdapterStatus(Part):
    """One adapter in one pod. `served_digest` is what answers now, which may be an older or fallback version."""

    name: Name
    state: AdapterState
    desired_digest: Digest | None = None
    served_digest: Digest | None = None
    reason: Reason | None = None
    message: Message | None = None
    since: Timestamp


class EngineFacts(Part):
    """What runs in the pod."""

    type: Literal["Transformers", "VLLM"]
    version: ShortText | None = None
    base_model_name: ModelName
    base_digest: Digest | None = None
    max_rank: PositiveCount | None = None
    active_adapters: Count = 0
    cached_adapters: Count = 0


class AdapterReport(Document):
    """What a pod answers to GET /v1/adapters.

    Attributes:
        contract_version: the AdapterSet version that the pod reads.
        generation: of the set that was applied; absent before the first.
        ready: the base answers, and every Required adapter was loaded once.
    """

    kind: ClassVar[str] = "AdapterReport"
    written_by: ClassVar[str] = "the server image"
    read_by: ClassVar[str] = "the operator"

    contract_version: PositiveCount
    generation: Count | None = None
    ready: bool
    engine: EngineFacts
    adapters: Annotated[tuple[AdapterStatus, ...], Field(max_length=2 * MAX_ADAPTERS)] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _require_unique("adapters", [status.name for status in self.adapters])
        return self


def _require_unique(field: str, names: list[str]) -> None:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{field}: the name {repeated[0]!r} stands twice")


def _require_one_source(digest: Digest | None, uri: str | None, merge: MergeDefinition | None) -> None:
    sources = (uri is not None) + (merge is not None)
    if sources != (digest is not None):
        raise ValueError("a digest needs exactly one of uri and merge, and they need it")
    if merge is not None and merge.digest != digest:
        raise ValueError(f"digest must be the merge's own, {merge.digest}")
