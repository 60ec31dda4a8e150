"""The base model of a training or a deployment: from spec or catalogue to the document and the pod's mounts."""

from dataclasses import dataclass

from adapter_contract import locations as contract
from adapter_contract.trainer_config import BaseModelConfig, StoreIdentity
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.references import BaseModelSource
from adapter_operator.build.mounts import Mounts, mounted
from adapter_operator.build.storage import s3_source, token_file, volume_source

_PATH = "/adapter/base-model"


class UnknownBaseModelError(LookupError):
    """Neither the spec nor the platform's catalogue says where the base model lies."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"spec.baseModel.source is missing and the platform's catalogue does not know {name}: set "
            "spec.baseModel.source, correct spec.baseModel.name, or ask the platform team to add it to baseModels"
        )


@dataclass(frozen=True)
class ResolvedBaseModel:
    """A base model with its place: what the document says of it, and what the pod mounts for it."""

    config: BaseModelConfig
    mounts: Mounts


def resolve_base_model(
    name: str, revision: str | None, source: BaseModelSource | None, settings: OperatorSettings
) -> ResolvedBaseModel:
    """Find a base model's files: where the spec says, else where the catalogue does.

    The catalogue's revision goes with the catalogue's source, where the spec names none.

    Raises:
        UnknownBaseModelError: neither says where.

    """
    if source is None:
        entry = settings.catalogue_entry(name)
        if entry is None:
            raise UnknownBaseModelError(name)
        source, revision = entry.source, revision or entry.revision
    where, mounts = _source(source, settings)
    config = BaseModelConfig(name=name, revision=revision, source=where, identity=_identity(source))
    return ResolvedBaseModel(config, mounts)


def _source(source: BaseModelSource, settings: OperatorSettings) -> tuple[contract.ModelSource, Mounts]:
    if source.s3 is not None:
        return s3_source(source.s3, "base-model", settings)
    if source.persistent_volume_claim is not None:
        return volume_source(source.persistent_volume_claim, "base-model", _PATH)
    if source.image is not None:
        volume = {"image": {"reference": source.image.reference, "pullPolicy": "IfNotPresent"}}
        return contract.PathSource(path=_PATH), mounted("base-model", volume, _PATH)
    hub = source.hugging_face
    if hub is None:
        raise ValueError("baseModel.source has one member: the API's rules were not judged")
    file, mounts = token_file(hub.token_secret_ref, "base-model")
    return contract.HubModelSource(repository=hub.repository, revision=hub.revision, token_file=file), mounts


def _identity(source: BaseModelSource) -> StoreIdentity | None:
    """What makes reading the weights for their digest needless: an image's digest.

    A commit of the Hub would do as well, but the Hub lists the digests of its files: so a model of the Hub has the
    digest of its files, which a copy of it on a volume or in a store has, too.
    """
    if source.image is not None and "@" in source.image.reference:
        return StoreIdentity(type="ImageDigest", value=source.image.reference.rpartition("@")[2])
    return None
