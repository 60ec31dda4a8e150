"""Where bytes lie and who may read them: S3 locations, volumes, images, the Hub, secrets."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from adapter_operator.api.schema.markers import Location, NotStored, Rule, one_of
from adapter_operator.api.schema.model import APIModel
from adapter_operator.api.v1alpha1.scalars import (
    S3URI,
    ConfigKey,
    DNSSubdomain,
    EndpointURL,
    HubRepository,
    ImageReference,
    ModelName,
    Region,
    RelativePath,
    Revision,
)


class SecretReference(APIModel):
    """A Secret in the object's own namespace. The operator never reads it; pods mount it."""

    name: DNSSubdomain = Field(description="Name of the Secret.")


class SecretKeyReference(APIModel):
    """One key of a Secret in the object's own namespace. The operator never reads it; pods mount it."""

    name: DNSSubdomain = Field(description="Name of the Secret.")
    key: ConfigKey = Field(description="Key in the Secret's data.")


class ConfigMapKeyReference(APIModel):
    """One key of a ConfigMap in the object's own namespace."""

    name: DNSSubdomain = Field(description="Name of the ConfigMap.")
    key: ConfigKey = Field(description="Key in the ConfigMap's data.")


class S3Access(APIModel):
    """How to reach an S3 store. What is left out comes from the platform's configuration."""

    endpoint_url: EndpointURL | None = Field(
        None,
        alias="endpointURL",
        description="URL of a store other than AWS, such as https://minio.storage:9000. Default: the platform's, "
        "else AWS.",
    )
    region: Region | None = Field(None, description="Region of the bucket. Default: the platform's.")
    addressing_style: Literal["Auto", "Path", "VirtualHosted"] | None = Field(
        None,
        description="Whether the bucket stands in the path or in the host name. Auto: Path where an endpointURL is "
        "given, else VirtualHosted. Default: the platform's, else Auto.",
    )
    credentials_secret_ref: SecretReference | None = Field(
        None,
        description="Secret with the keys AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for temporary credentials, "
        "AWS_SESSION_TOKEN; mounted as files and read again when it changes. Default: the platform's, else the "
        "pod's own identity (such as IRSA or EKS Pod Identity).",
    )
    ca_bundle_config_map_ref: ConfigMapKeyReference | None = Field(
        None,
        description="ConfigMap key with the PEM certificates that the store's certificate is checked against. "
        "Default: the platform's, else the image's.",
    )


class S3Location(S3Access):
    """An object or a prefix in an S3 store."""

    uri: S3URI = Field(description="What to read or where to write: s3://bucket/key or s3://bucket/prefix/.")


class VolumeSource(APIModel):
    """A folder or file on a PersistentVolumeClaim of the object's own namespace, mounted read-only."""

    claim_name: DNSSubdomain = Field(description="Name of the PersistentVolumeClaim.")
    path: RelativePath | None = Field(
        None,
        description="Folder or file in the volume, relative, with no part that begins with a dot. Default: the "
        "volume's root.",
    )


class ImageSource(APIModel):
    """An OCI image or artifact, mounted as an image volume (stable since Kubernetes 1.36)."""

    reference: ImageReference = Field(
        description="Image with a tag or, better, a digest: the digest is then the model's immutable identity."
    )


class HubModelSource(APIModel):
    """A model repository of the Hugging Face Hub."""

    repository: HubRepository = Field(description="Repository, such as HuggingFaceTB/SmolLM2-135M-Instruct.")
    revision: Annotated[Revision, NotStored()] = Field(
        "main",
        description="Branch, tag or, better, commit: a commit is then the model's immutable identity. Default: main.",
    )
    token_secret_ref: SecretKeyReference | None = Field(
        None, description="Secret key with an access token, for gated or private repositories. Default: none."
    )


class HubDatasetSource(APIModel):
    """A dataset repository of the Hugging Face Hub."""

    repository: HubRepository = Field(description="Repository, such as HuggingFaceH4/ultrachat_200k.")
    subset: ModelName | None = Field(
        None, description="Configuration of the dataset. Default: its only or default one."
    )
    split: Annotated[ModelName, NotStored()] = Field("train", description="Split to use. Default: train.")
    revision: Annotated[Revision, NotStored()] = Field("main", description="Branch, tag or commit. Default: main.")
    token_secret_ref: SecretKeyReference | None = Field(
        None, description="Secret key with an access token, for gated or private repositories. Default: none."
    )


_BASE_MODEL_SOURCES = ("persistentVolumeClaim", "image", "s3", "huggingFace")
_DATASET_SOURCES = ("s3", "persistentVolumeClaim", "configMap", "huggingFace")


class BaseModelSource(APIModel):
    """Where the base model's files lie: exactly one of the members."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of(*_BASE_MODEL_SOURCES, what="baseModel.source"),)

    persistent_volume_claim: VolumeSource | None = Field(
        None, description="A volume, shared by all pods and mounted read-only."
    )
    image: ImageSource | None = Field(None, description="An OCI image volume.")
    s3: S3Location | None = Field(None, description="A prefix in an S3 store; each pod downloads it.")
    hugging_face: HubModelSource | None = Field(None, description="A Hub repository; each pod downloads it.")


class BaseModel(APIModel):
    """The base model that adapters are trained on and served with."""

    name: ModelName = Field(
        description="Name under which the base is served; also written into adapter_config.json, so that training "
        "and serving agree."
    )
    revision: Revision | None = Field(
        None, description="Revision of the base that is recorded in each adapter's manifest. Default: none."
    )
    source: Annotated[BaseModelSource | None, Location()] = Field(
        None, description="Where the files lie. Default: what the platform's catalogue says of the name."
    )


class DatasetSource(APIModel):
    """Where examples lie: exactly one of the members."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of(*_DATASET_SOURCES, what="a dataset source"),)

    s3: S3Location | None = Field(
        None, description="An object, or a prefix whose files are read in order of their names."
    )
    persistent_volume_claim: VolumeSource | None = Field(None, description="A file or folder in a volume.")
    config_map: ConfigMapKeyReference | None = Field(None, description="One key of a ConfigMap (at most 1 MiB).")
    hugging_face: HubDatasetSource | None = Field(None, description="A dataset repository of the Hub.")
