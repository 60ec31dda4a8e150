"""The object store of the quickstart: its keys, and what users put into it."""

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from adapter_contract import S3Location
from adapter_contract.s3 import open_object
from adapter_quickstart.kubectl import JSON

CREDENTIALS_SECRET = "s3-credentials"  # noqa: S105 - a name
REGION = "us-east-1"


@dataclass(frozen=True)
class Keys:
    """An identity of the store, made for one quickstart."""

    access: str = field(default_factory=lambda: f"AKIA{secrets.token_hex(8).upper()}")
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)

    def secrets(self) -> tuple[JSON, JSON]:
        """Return two Secrets: for the pods that use the store, and for the store itself."""
        identity = {
            "name": "quickstart",
            "credentials": [{"accessKey": self.access, "secretKey": self.secret}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        return (
            _secret(CREDENTIALS_SECRET, {"AWS_ACCESS_KEY_ID": self.access, "AWS_SECRET_ACCESS_KEY": self.secret}),
            _secret("object-store", {"s3.json": json.dumps({"identities": [identity]})}),
        )

    def write(self, directory: Path) -> None:
        """Write the keys as files, as a pod sees them mounted."""
        directory.mkdir(mode=0o700)
        (directory / "AWS_ACCESS_KEY_ID").write_text(self.access)
        (directory / "AWS_SECRET_ACCESS_KEY").write_text(self.secret)


def upload(path: Path, uri: str, *, endpoint: str, credentials: Path) -> None:
    """Upload a file; requests are tried again until the store is up.

    Raises:
        StorageError: the store refuses it, or did not come up.
        OSError: the file can't be read.
    """
    location = S3Location(uri=uri, endpoint_url=endpoint, region=REGION, credentials_directory=str(credentials))
    store, key = open_object(location)
    with store:
        store.upload(path, key)


def _secret(name: str, values: dict[str, str]) -> JSON:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values}
