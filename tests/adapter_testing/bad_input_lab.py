"""A training that would succeed, of which a test spoils one input, on a store of its own."""

import json
import shutil
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from safetensors.numpy import save_file

from adapter_contract import (
    AdapterFacts,
    AdapterManifest,
    BaseModelRecord,
    Owner,
    S3Location,
    StoredManifest,
    list_files,
    sha256_bytes,
)
from adapter_contract.layout import ArtifactKey, OwnerKey
from adapter_contract.s3 import LocalModel, base_digest, commit_artifact, open_store
from adapter_testing.hub_server import HubServer
from adapter_testing.seaweedfs import SeaweedFS, mount_secret, mount_values
from adapter_testing.trainer_lab import BASE_NAME, TrainerProcess, chats, s3_source, trainer_config

Document = dict[str, Any]


class BadInputLab:
    """One pod's inputs. What the methods do is seen by the pod that `pod` makes afterwards.

    Args:
        directory: for everything local.
        base: a base model; it is copied before it is spoiled.
        store: an object store; what is under test writes to a directory of the test's own unless told otherwise.
        hub: repositories, as `put_repositories` made them.
    """

    def __init__(self, directory: Path, base: Path, store: SeaweedFS, hub: HubServer) -> None:
        self.directory, self.bucket = directory, store.bucket
        self._store, self._hub, self._base = store, hub, base
        self._held = ExitStack()
        self._variables: dict[str, str] = {"HF_ENDPOINT": hub.endpoint}
        self._raw: bytes | None = None
        self.output = S3Location(uri=f"file://{directory}/out")
        self.dataset_file("train.jsonl", chats(12))
        config = trainer_config(
            dataset={"type": "Path", "path": str(directory / "data/train.jsonl")}, base_model=base, output=self.output
        )
        self._config: Document = json.loads(config.to_json())
        self._config["hyperparameters"]["epochs"] = "1"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def pod(self) -> TrainerProcess:
        """Return the pod; its directory is `pod`."""
        content = json.dumps(self._config).encode() if self._raw is None else self._raw
        pod = TrainerProcess(self.directory / "pod", content)
        pod.environment |= self._variables
        return pod

    def committed(self) -> list[str]:
        """Return what makes an adapter count below the output: manifests, and pointers from inputs."""
        with open_store(self.output) as opened:
            keys = [found.key for found in opened.list_objects()]
        return [
            key for key in keys if key.startswith("support-bot/") and ("manifest.json" in key or "/by-input/" in key)
        ]

    def change(self, path: str, **members: object) -> None:
        """Change members of a part of the configuration; an empty path means the whole."""
        (self._config[path] if path else self._config).update(members)

    def rename(self, path: str, name: str, other: str) -> None:
        """Call a member of a part of the configuration otherwise."""
        self._config[path][other] = self._config[path].pop(name)

    def variables(self, **variables: str) -> None:
        """Change the environment."""
        self._variables |= variables

    def raw_configuration(self, content: bytes) -> None:
        """Write this in place of the configuration."""
        self._raw = content

    def dataset_file(self, name: str, content: bytes) -> None:
        """Write a file of examples, and make it the dataset."""
        path = self.directory / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if hasattr(self, "_config"):
            self.dataset_source({"type": "Path", "path": str(path)})

    def dataset_source(self, source: Mapping[str, Any]) -> None:
        """Set where the dataset lies."""
        self._config["dataset"]["source"] = dict(source)

    def own_base(self) -> Path:
        """Copy the base model, so that it can be changed, and train on the copy."""
        own = self.directory / "base"
        shutil.copytree(self._base, own, ignore=shutil.ignore_patterns(".adapter*"))
        self._config["baseModel"]["source"] = {"type": "Path", "path": str(own)}
        return own

    def preflight_saw(self, **digests: str) -> None:
        """Let preflight have found these digests; others that no training has stand for the rest."""
        names = {f"{name}Digest": digests.get(name, sha256_bytes(b"x")) for name in ("dataset", "base", "input")}
        self._config["preflight"] = {"mode": "Enforce", "expected": names}

    def stored_dataset(self, uri: str, keys: tuple[str, str] | None = None) -> None:
        """Let the dataset lie in the object store; with keys other than its own, if given."""
        secret = self._secret(keys)
        location = S3Location(
            uri=uri, endpoint_url=self._store.endpoint, region="us-east-1", credentials_directory=str(secret)
        )
        self.dataset_source(s3_source(location))

    def _secret(self, keys: tuple[str, str] | None) -> Path:
        if keys is None:
            return mount_secret(self.directory / "secret", self._store.admin)
        values = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), keys, strict=True))
        return mount_values(self.directory / "secret", values)

    def _write_to(self, location: S3Location) -> None:
        self._config["output"]["location"] = location.model_dump(mode="json", by_alias=True, exclude_none=True)

    def output_on_closed_port(self) -> None:
        """Let the output's store be gone."""
        secret = self._secret(("AKIAEXAMPLE", "s3cr3t"))
        self._write_to(
            S3Location(
                uri="s3://adapters/out", endpoint_url=self._closed_port(), credentials_directory=str(secret),
                region="us-east-1",
            )
        )  # fmt: skip

    def read_only_output(self) -> None:
        """Let the output's credentials be a reader's."""
        reader = mount_secret(self.directory / "secret", self._store.reader)
        self.output = self._store.location(f"read-only-{self.directory.name}", secret=reader)
        self._write_to(self.output)

    def foreign_output(self) -> None:
        """Let the output belong to another training."""
        owner = Owner(cluster="other", namespace="team-b", name="support-bot")
        with open_store(self.output) as opened:
            opened.put(OwnerKey("support-bot").key, owner.to_json())

    def missing_parent(self) -> None:
        """Go on from an adapter that was never published."""
        digest = sha256_bytes(b"never")
        self._initialize_from(digest, S3Location(uri=f"file://{self.directory}/out/earlier/artifacts/none"))

    def parent(self, *, base_name: str = BASE_NAME, base_digest: str | None = None, spoiled: bool = False) -> None:
        """Go on from an adapter of a base model; spoiled, one byte of it is another than published."""
        made = self.directory / "parent"
        made.mkdir()
        (made / "adapter_config.json").write_text(
            json.dumps({"base_model_name_or_path": base_name, "peft_type": "LORA"})
        )
        save_file({"a": np.zeros(4, dtype=np.float32)}, made / "adapter_model.safetensors")
        manifest = AdapterManifest(
            files=list_files(made),
            origin="Imported",
            base_model=BaseModelRecord(name=base_name, digest=base_digest or _digest(self._base)),
            adapter=AdapterFacts(method="LoRA", rank=4, trainable_parameters=4, size_bytes=16, dtype="Float32"),
            created_time=datetime.now(UTC),
        )
        stored = StoredManifest.seal(manifest)
        key = ArtifactKey("earlier", stored.digest).key
        with open_store(self.output) as opened:
            commit_artifact(opened, key, made, stored.data)
        location = self.output.below(key)
        if spoiled:
            weights = location.directory / "adapter_model.safetensors"
            content = weights.read_bytes()
            weights.write_bytes(content[:-1] + b"\1")
        self._initialize_from(stored.digest, location)

    def _initialize_from(self, digest: str, location: S3Location) -> None:
        where = location.model_dump(mode="json", by_alias=True, exclude_none=True)
        self._config["initializeFrom"] = {"name": "earlier", "digest": digest, "location": where}

    def hub_dataset(self, repository: str, **members: str) -> None:
        """Let the dataset be one of the Hub's."""
        self.dataset_source({"type": "HuggingFace", "repository": repository, **members})

    def hub_base(self, repository: str) -> None:
        """Let the base model be one of the Hub's."""
        self._config["baseModel"]["source"] = {"type": "HuggingFace", "repository": repository}

    def dead_hub(self) -> None:
        """Let nobody listen where the Hub should."""
        self.hub_dataset("org/chats")
        self.variables(HF_ENDPOINT=self._closed_port())

    def _closed_port(self) -> str:
        closed = self._held.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def put_repositories(hub: HubServer, base: Path) -> None:
    """Put what the table asks for onto a Hub."""
    hub.dataset("org/chats", {"train.jsonl": chats(12), "test.jsonl": chats(3)})
    hub.dataset("org/gated", {"train.jsonl": chats(12)}, token="hf_x", gated=True)
    hub.dataset("org/script", {"script.py": b"raise SystemExit", "raw.csv": b"text\na\n"})
    hub.dataset("org/card", {"README.md": b"---\nconfigs: [\n---\n", "train.jsonl": chats(12)})
    files = {path.name: path.read_bytes() for path in base.iterdir() if path.is_file() and path.name[0] != "."}
    hub.model("org/base", files)
    hub.model("org/gated-base", files, token="hf_x", gated=True)


def _digest(base: Path) -> str:
    return base_digest(LocalModel(base))
