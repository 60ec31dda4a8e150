"""S3 locations with the platform's defaults, the secrets and certificates that pods mount for them, and datasets.

The operator reads no secret: it tells the kubelet which one to mount, and the document which directory to read.
"""

from dataclasses import dataclass
from typing import Literal

from adapter_contract import locations as contract
from adapter_operator.api.settings import OperatorSettings
from adapter_operator.api.v1alpha1.references import (
    ConfigMapKeyReference,
    DatasetSource,
    S3Access,
    S3Location,
    SecretKeyReference,
    VolumeSource,
)
from adapter_operator.build.mounts import Mounts, mounted

Role = Literal["output", "dataset", "evaluation", "base-model", "parent", "adapters"]
"""What a pod needs access for; part of paths and volume names, so that each has its own."""

AddressingStyle = Literal["Auto", "Path", "VirtualHosted"]


@dataclass(frozen=True)
class ResolvedAccess:
    """How a store is reached, nothing left to a default of the platform; what is None is left to boto3's chain."""

    endpoint_url: str | None
    region: str | None
    addressing_style: AddressingStyle
    credentials_secret: str | None
    ca_bundle: ConfigMapKeyReference | None

    def mounts(self, role: Role) -> Mounts:
        """The secret and the certificates as files of a pod."""
        found = Mounts()
        if self.credentials_secret is not None:
            source = {"secret": {"secretName": self.credentials_secret}}
            found += mounted(f"credentials-{role}", source, _credentials_directory(role))
        if self.ca_bundle is not None:
            items = [{"key": self.ca_bundle.key, "path": _CA_FILE}]
            bundle = {"configMap": {"name": self.ca_bundle.name, "items": items}}
            found += mounted(f"certificates-{role}", bundle, _certificates_directory(role))
        return found

    def in_pod(self, role: Role) -> contract.S3Access:
        """The same for a program in the pod that has `mounts(role)`."""
        return contract.S3Access(
            endpoint_url=self.endpoint_url,
            region=self.region,
            addressing_style=self.addressing_style,
            credentials_directory=None if self.credentials_secret is None else _credentials_directory(role),
            ca_bundle_file=None if self.ca_bundle is None else f"{_certificates_directory(role)}/{_CA_FILE}",
        )


_CA_FILE = "ca.crt"


def _credentials_directory(role: Role) -> str:
    return f"/adapter/credentials/{role}"


def _certificates_directory(role: Role) -> str:
    return f"/adapter/certificates/{role}"


def resolve_access(access: S3Access | None, settings: OperatorSettings) -> ResolvedAccess:
    """Fill in what an S3 location leaves out, field by field, from the platform's storage settings."""
    given, platform = access or S3Access(), settings.storage
    secret = given.credentials_secret_ref or platform.credentials_secret_ref
    return ResolvedAccess(
        endpoint_url=given.endpoint_url or platform.endpoint_url,
        region=given.region or platform.region,
        addressing_style=given.addressing_style or platform.addressing_style or "Auto",
        credentials_secret=None if secret is None else secret.name,
        ca_bundle=given.ca_bundle_config_map_ref or platform.ca_bundle_config_map_ref,
    )


def s3_source(location: S3Location, role: Role, settings: OperatorSettings) -> tuple[contract.S3Source, Mounts]:
    """An S3 location as a source of a document, and what its pod mounts for it."""
    access = resolve_access(location, settings)
    return contract.S3Source(location=access.in_pod(role).at(location.uri)), access.mounts(role)


def volume_source(source: VolumeSource, name: str, path: str) -> tuple[contract.PathSource, Mounts]:
    """A claim, mounted read-only and whole, and the path of what is meant inside it.

    Only the folder itself could be mounted by `subPath`, but the kubelet would create a missing one: then an input
    would be empty, where it is missing.
    """
    claim = {"persistentVolumeClaim": {"claimName": source.claim_name, "readOnly": True}}
    inside = "" if source.path is None else f"/{source.path.rstrip('/')}"
    return contract.PathSource(path=f"{path}{inside}"), mounted(name, claim, path)


def token_file(reference: SecretKeyReference | None, role: Role) -> tuple[str | None, Mounts]:
    """An access token of the Hub as a mounted file."""
    if reference is None:
        return None, Mounts()
    items = [{"key": reference.key, "path": "token"}]
    source = {"secret": {"secretName": reference.name, "items": items}}
    directory = f"{_credentials_directory(role)}-token"
    return f"{directory}/token", mounted(f"token-{role}", source, directory)


def dataset_source(
    source: DatasetSource, role: Literal["dataset", "evaluation"], settings: OperatorSettings
) -> tuple[contract.DatasetSource, Mounts]:
    """Examples as a source of a document, and what the pod mounts for them."""
    path = f"/adapter/{role}"
    if source.s3 is not None:
        return s3_source(source.s3, role, settings)
    if source.persistent_volume_claim is not None:
        return volume_source(source.persistent_volume_claim, role, path)
    if source.config_map is not None:
        items = [{"key": source.config_map.key, "path": source.config_map.key}]
        volume = {"configMap": {"name": source.config_map.name, "items": items}}
        return contract.PathSource(path=f"{path}/{source.config_map.key}"), mounted(role, volume, path)
    return _hub_dataset(source, role)


def _hub_dataset(
    source: DatasetSource, role: Literal["dataset", "evaluation"]
) -> tuple[contract.HubDatasetSource, Mounts]:
    hub = source.hugging_face
    if hub is None:
        raise ValueError("a dataset source has one member: the API's rules were not judged")
    file, mounts = token_file(hub.token_secret_ref, role)
    found = contract.HubDatasetSource(
        repository=hub.repository, revision=hub.revision, subset=hub.subset, split=hub.split, token_file=file
    )
    return found, mounts
