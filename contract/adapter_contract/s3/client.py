"""A client for a location: endpoint, addressing, trust, credentials, timeouts.

It is botocore's, which is what boto3 wraps: the same configuration, credentials chain and client.
"""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialResolver
from botocore.loaders import Loader

from adapter_contract.locations import S3Location
from adapter_contract.s3.credentials import MountedCredentialProvider, MountedCredentials
from adapter_contract.s3.errors import InvalidLocation
from adapter_contract.s3.faults import TRANSPORT_ERRORS, fault_of
from adapter_contract.s3.settings import TransferSettings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_DEFAULT_REGION = "us-east-1"
"""S3-compatible stores sign with it unless configured otherwise, and AWS redirects from it."""

_service_models = Loader()
"""Shared, since reading S3's description is most of what it costs to make a client; it caches and never changes."""


def mounted_credentials(location: S3Location) -> MountedCredentials | None:
    """Return the location's mounted credentials; None where boto3's own chain applies."""
    directory = location.credentials_directory
    return None if directory is None else MountedCredentials(Path(directory))


def make_client(location: S3Location, settings: TransferSettings, credentials: MountedCredentials | None) -> "S3Client":
    """Return a thread-safe client that tries each request once; it connects to nothing yet.

    boto3's own chain may look for the metadata service of a cloud's machine; `AWS_EC2_METADATA_DISABLED` and
    its siblings apply as everywhere.

    Raises:
        StorageError: the location's fields or the machine's AWS configuration can't be used.

    """
    try:
        session = botocore.session.Session()
        session.register_component("data_loader", _service_models)
        if credentials is not None:
            resolver = CredentialResolver([MountedCredentialProvider(credentials)])
            session.register_component("credential_provider", resolver)
        ca_bundle = location.ca_bundle_file or session.get_config_variable("ca_bundle")
        if ca_bundle is not None:
            _check_ca_bundle(location.uri, ca_bundle)
        client = session.create_client(
            "s3",
            endpoint_url=location.endpoint_url,
            region_name=location.region or session.get_config_variable("region") or _DEFAULT_REGION,
            verify=ca_bundle,
            config=Config(
                connect_timeout=settings.connect_timeout_seconds,
                read_timeout=settings.read_timeout_seconds,
                retries={"total_max_attempts": 1, "mode": "standard"},
                max_pool_connections=settings.concurrency * settings.files + settings.files,
                tcp_keepalive=True,
                s3={"addressing_style": _addressing_style(location)},
                # This package sends SHA-256 sums itself. The CRC trailers that botocore adds on its own
                # since 1.36 are refused by a number of S3-compatible stores.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        return cast("S3Client", client)
    except TRANSPORT_ERRORS as error:
        raise fault_of(error).as_error("use", location.uri) from error


def _check_ca_bundle(uri: str, file: str) -> None:
    """Load the certificates once: a connection would only say that TLS failed, and be tried again."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # ssl.SSLError is one
        raise InvalidLocation(
            "use", uri, f"the CA bundle {file} can't be loaded ({_why(error)})",
            "mount a PEM file, or correct AWS_CA_BUNDLE where the location names none",
        ) from error  # fmt: skip


def _why(error: OSError) -> str:
    return "it holds no PEM certificates" if isinstance(error, ssl.SSLError) else str(error.strerror)


def _addressing_style(location: S3Location) -> Literal["auto", "path", "virtual"]:
    if location.addressing_style == "Auto":
        return "auto" if location.endpoint_url is None else "path"
    return "path" if location.addressing_style == "Path" else "virtual"
