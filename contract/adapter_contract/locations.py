"""Where things are: S3-compatible storage, mounted paths, repositories of the Hugging Face Hub.

A location never holds a credential, only the path of the mounted directory or file that does.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints

from adapter_contract.documents import Part
from adapter_contract.scalars import AbsolutePath, ShortText

AddressingStyle = Literal["Auto", "Path", "VirtualHosted"]

_S3_URI = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9])(?:/(?P<prefix>.*))?")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\\]")


def _storage_uri(uri: str) -> str:
    if _UNPRINTABLE.search(uri):
        raise ValueError("control characters and backslashes are not allowed in a URI")
    if match := _S3_URI.fullmatch(uri):
        path = match["prefix"] or ""
    elif uri.startswith("file:///"):
        path = uri.removeprefix("file:///")
    else:
        raise ValueError("expected s3://<bucket>/<prefix>, or file:///<absolute directory> for development")
    segments = path.removesuffix("/").split("/") if path else []
    if any(segment in {"", ".", ".."} for segment in segments):
        raise ValueError('empty, "." and ".." segments are not allowed in a URI')
    return uri


StorageURI = Annotated[str, StringConstraints(max_length=2048), AfterValidator(_storage_uri)]
"""`s3://bucket/prefix` or `file:///absolute/directory`; a slash at the end is optional and means nothing.

What follows the bucket is taken as it stands: nothing is percent-decoded; there is no query and no fragment.
"""

EndpointURL = Annotated[
    str, StringConstraints(pattern=r"^https?://[A-Za-z0-9.\-\[\]:_]+(/[A-Za-z0-9._~/-]*)?$", max_length=1024)
]
"""An HTTP origin, with an optional path and no user information: credentials have no place in it."""


class S3Access(Part):
    """How an S3-compatible store is reached; with nothing set, boto3's own chain decides.

    Attributes:
        endpoint_url: the store's origin, where it is not AWS.
        region: the signing region.
        addressing_style: bucket in the path, in the host name, or as the client finds best.
        credentials_directory: a mounted secret with the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and,
            where there is one, AWS_SESSION_TOKEN; read again when they change.
        ca_bundle_file: PEM certificates to trust instead of the system's.
    """

    endpoint_url: EndpointURL | None = Field(default=None, alias="endpointURL")
    region: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    addressing_style: AddressingStyle = "Auto"
    credentials_directory: AbsolutePath | None = None
    ca_bundle_file: AbsolutePath | None = None

    def at(self, uri: str) -> "S3Location":
        """Return the location of a URI that is reached in this way.

        Raises:
            pydantic.ValidationError: the URI has not the form of a storage URI.
        """
        return S3Location(
            uri=uri,
            endpoint_url=self.endpoint_url,
            region=self.region,
            addressing_style=self.addressing_style,
            credentials_directory=self.credentials_directory,
            ca_bundle_file=self.ca_bundle_file,
        )


class S3Location(S3Access):
    """A prefix in S3-compatible storage, or a local directory with the same semantics for development."""

    uri: StorageURI

    @property
    def is_local(self) -> bool:
        """Whether this is a local directory (`file://`)."""
        return self.uri.startswith("file://")

    @property
    def bucket(self) -> str:
        """The bucket's name; empty for a local directory."""
        match = _S3_URI.fullmatch(self.uri)
        return match["bucket"] if match else ""

    @property
    def prefix(self) -> str:
        """The key prefix within the bucket, with no slash at either end; empty for a local directory."""
        match = _S3_URI.fullmatch(self.uri)
        return (match["prefix"] or "").removesuffix("/") if match else ""

    @property
    def directory(self) -> Path:
        """The local directory.

        Raises:
            ValueError: this is not a `file://` location.
        """
        if not self.is_local:
            raise ValueError(f"{self.uri} is not a local directory")
        return Path(self.uri.removeprefix("file://"))

    def below(self, key: str) -> Self:
        """Return the location of a key or prefix under this one, reached in the same way."""
        location = self.at(f"{self.uri.removesuffix('/')}/{key}")
        return self.model_copy(update={"uri": location.uri})


class PathSource(Part):
    """A file or directory that is mounted: a volume claim, an image volume, a config map key."""

    type: Literal["Path"] = "Path"
    path: AbsolutePath


class S3Source(Part):
    """Objects under a prefix of S3-compatible storage, or one object."""

    type: Literal["S3"] = "S3"
    location: S3Location


HubRepository = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$", max_length=200),
]


class HubModelSource(Part):
    """A model repository of the Hugging Face Hub; the token stands in a mounted file."""

    type: Literal["HuggingFace"] = "HuggingFace"
    repository: HubRepository
    revision: ShortText | None = None
    token_file: AbsolutePath | None = None


class HubDatasetSource(HubModelSource):
    """A dataset repository of the Hugging Face Hub, with the subset (configuration) and split to read."""

    subset: ShortText | None = None
    split: ShortText | None = None


ModelSource = Annotated[PathSource | S3Source | HubModelSource, Field(discriminator="type")]
DatasetSource = Annotated[PathSource | S3Source | HubDatasetSource, Field(discriminator="type")]
