"""Servers for tests: tiny bases and adapters in a store, the mounted set of a pod, and the server itself.

A server runs as in a pod: the same environment, its own loopback address with the real ports. `running_here` runs
the whole program on a thread of the test's process, which spares seconds of imports; `ServerProcess` is
`python -m adapter_server`.
"""

import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import requests

from adapter_contract import AdapterReport, S3Access, StoredManifest, mount_environment
from adapter_contract.layout import artifact_uri
from adapter_contract.pods import (
    ADAPTER_SET_FILE,
    ADAPTERS_PATH,
    BIND_ADDRESS,
    MANAGEMENT_PORT,
    SERVER_CONFIG,
    SERVING_PORT,
    TERMINATION_FILE,
    WORK_DIRECTORY,
)
from adapter_server.gateway.endpoint import DIGEST_HEADER
from adapter_server.program import Program
from adapter_server.startup import read_startup
from adapter_testing.engine_lab import publish_lora
from adapter_testing.seaweedfs import mount_values
from adapter_testing.trainer_lab import BASE_NAME, build_base_model
from adapter_testing.waiting import until

SET_KEY = "adapter-set.json"
ANSWER_TOKENS = 2
_CLEAR = 0.008
_ADDRESSES = random.SystemRandom()


@dataclass(frozen=True)
class Version:
    """An adapter's artifact, as it was made on this machine."""

    directory: Path
    digest: str


@dataclass(frozen=True)
class Things:
    """A base model and versions of adapters for it, built once and only read.

    Attributes:
        versions: LoRA adapters that answer differently.
        too_large: one of rank 16, beyond the lab's `maxRank`.
        foreign: one of another base.
    """

    base: Path
    versions: tuple[Version, Version, Version]
    too_large: Version
    foreign: Version


def build_things(directory: Path) -> Things:
    """Build them all: some seconds for the imports, then tenths of a second."""
    base, other = (_with_long_context(build_base_model(directory / f"base-{seed}", seed=seed)) for seed in (0, 1))

    def version(name: str, of: Path, seed: int, **config: object) -> Version:
        publish_lora(directory / name, of, seed=seed, **config)
        stored = StoredManifest.parse((directory / name / "manifest.json").read_bytes())
        return Version(directory / name, stored.digest)

    return Things(
        base,
        (version("v1", base, 1), version("v2", base, 2), version("v3", base, 3)),
        version("large", base, 4, r=16),
        version("foreign", other, 5),
    )


def _with_long_context(base: Path) -> Path:
    """Let a base take 4,096 tokens, so that an answer can last for seconds."""
    path = base / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_position_embeddings": 4096}))
    return base


@dataclass
class Shelf:
    """A `file://` store with artifacts in the layout of an output URI."""

    root: Path

    @property
    def uri(self) -> str:
        """The output URI."""
        return f"file://{self.root}"

    def put(self, version: Version, training: str = "support-bot") -> str:
        """Publish a copy of a version; return its URI."""
        uri = artifact_uri(self.uri, training, version.digest)
        shutil.copytree(version.directory, self.directory(version, training))
        return uri

    def directory(self, version: Version, training: str = "support-bot") -> Path:
        """Where a version's files are, to damage them."""
        return Path(artifact_uri(self.uri, training, version.digest).removeprefix("file://"))


def entry(
    name: str,
    digest: str | None = None,
    uri: str | None = None,
    *,
    fallback: Mapping[str, str] | None = None,
    policy: str = "Optional",
    **members: object,
) -> dict[str, Any]:
    """Return an entry of an AdapterSet."""
    given = {"name": name, "policy": policy, "digest": digest, "uri": uri, "fallback": fallback, **members}
    return {member: value for member, value in given.items() if value is not None}


@dataclass(frozen=True)
class Told:
    """An answer, and the digest in its header."""

    text: str
    digest: str


def ask(client: openai.OpenAI, model: str, question: str, *, stream: bool = False) -> Told:
    """Ask one question; the answer is always the same as long as the same version gives it."""
    request: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": question}]}
    request |= {"max_tokens": ANSWER_TOKENS, "temperature": 0}
    if not stream:
        response = client.chat.completions.with_raw_response.create(**request)
        return Told(response.parse().choices[0].message.content, response.headers.get(DIGEST_HEADER, ""))
    raw = client.chat.completions.with_raw_response.create(**request, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
    return Told(text, raw.headers.get(DIGEST_HEADER, ""))


def clear_questions(pod: "Pod", model: str) -> dict[str, str]:
    """Return questions with their answers that rounding can't change: no second token is nearly as likely.

    The probabilities of a model with random weights lie close together, and the arithmetic of a batch depends in its
    last bits on what else is in it.
    """
    found = {}
    with pod.client() as client:
        for number in range(30):
            question = f"where is boat {number}"
            choice = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": question}],
                max_tokens=ANSWER_TOKENS,
                temperature=0,
                logprobs=True,
                top_logprobs=2,
            ).choices[0]
            tops = [token.top_logprobs for token in choice.logprobs.content]
            if len(tops) == ANSWER_TOKENS and min(top[0].logprob - top[1].logprob for top in tops) > _CLEAR:
                found[question] = choice.message.content
    return found


@dataclass
class Pod:
    """What is mounted into a server pod, and how it is reached."""

    directory: Path
    base: Path
    address: str = field(default_factory=lambda: f"127.{_ADDRESSES.randint(16, 250)}.{_ADDRESSES.randint(1, 250)}.7")
    storage: S3Access = field(default_factory=S3Access)
    generation: int = 0
    changes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = self.directory / "work"
        self.work.mkdir(parents=True, exist_ok=True)
        self.set_directory = self.directory / "set"
        self._here: _Here | None = None

    @property
    def url(self) -> str:
        """Origin of the API."""
        return f"http://{self.address}:{SERVING_PORT}"

    @property
    def management(self) -> str:
        """Origin of the management port."""
        return f"http://{self.address}:{MANAGEMENT_PORT}"

    @property
    def config(self) -> dict[str, Any]:
        """The ServerConfig, as JSON; `changes` replace members."""
        return {
            "kind": "ServerConfig",
            "schemaVersion": 1,
            "baseModel": {"name": BASE_NAME, "source": {"type": "Path", "path": str(self.base)}},
            "quantization": "None",
            "engine": {
                "type": "Transformers",
                "maxActiveAdapters": 4,
                "maxCachedAdapters": 8,
                "maxRank": 8,
                "maxModelLength": 256,
            },
            "limits": {"requestTimeoutSeconds": 60, "maxQueuedRequests": 32, "maxOutputTokens": 64},
            "drainSeconds": 0,
            **self.changes,
        }

    @property
    def environment(self) -> dict[str, str]:
        """What the operator sets."""
        return {
            **mount_environment([str(self.set_directory)]),
            ADAPTER_SET_FILE: str(self.set_directory / SET_KEY),
            BIND_ADDRESS: self.address,
            SERVER_CONFIG: json.dumps(self.config),
            TERMINATION_FILE: str(self.directory / "termination-log"),
            WORK_DIRECTORY: str(self.work),
        }

    def write_set(self, entries: Sequence[Mapping[str, Any]], **members: object) -> int:
        """Mount a new AdapterSet, as a kubelet swaps a config map; return its generation."""
        self.generation += 1
        document = {
            "kind": "AdapterSet",
            "schemaVersion": 1,
            "generation": self.generation,
            "baseModelName": BASE_NAME,
            "storage": self.storage.model_dump(mode="json", by_alias=True, exclude_none=True),
            "limits": {},
            "adapters": list(entries),
            **members,
        }
        self.write_raw_set(json.dumps(document))
        return self.generation

    def write_raw_set(self, text: str) -> None:
        """Mount any text as the set."""
        mount_values(self.set_directory, {SET_KEY: text})

    def client(self, key: str = "unused", **options: Any) -> openai.OpenAI:
        """A client of the OpenAI API that tries each request once."""
        return openai.OpenAI(api_key=key, base_url=f"{self.url}/v1", max_retries=0, timeout=60, **options)

    def report(self) -> AdapterReport:
        """The report of the management port."""
        answer = requests.get(f"{self.management}{ADAPTERS_PATH}", timeout=10)
        answer.raise_for_status()
        return AdapterReport.from_json(answer.content)

    def ready(self) -> bool:
        """Whether the readiness probe passes."""
        return self._passes("/readyz")

    def listens(self) -> bool:
        """Whether the server answers, whatever it is doing."""
        return self._passes("/healthz")

    def _passes(self, path: str) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.url}{path}", timeout=10).status_code == 200
        return False

    def wait_ready(self) -> None:
        """Wait until the readiness probe passes."""
        until(self.ready, self._told, 60)

    def wait_served(self, **served: str | None) -> AdapterReport:
        """Wait until the present set is applied and exactly these digests answer, by adapter."""
        wanted = {name.replace("_", "-"): digest for name, digest in served.items()}

        def holds() -> bool:
            report = self.report()
            found = {status.name: status.served_digest for status in report.adapters}
            return report.generation == self.generation and found == wanted

        until(holds, self._told)
        return self.report()

    def wait_state(self, name: str, state: str) -> Any:
        """Wait until an adapter of the present set is in a state; return its status."""

        def found() -> Any:
            report = self.report()
            statuses = {status.name: status for status in report.adapters}
            right = report.generation == self.generation and name in statuses and statuses[name].state == state
            return statuses[name] if right else None

        until(lambda: found() is not None, self._told)
        return found()

    def _told(self) -> str:
        try:
            return self.report().to_json().decode()
        except requests.RequestException as error:
            return repr(error)

    @contextlib.contextmanager
    def running_here(self) -> Iterator["Pod"]:
        """Run the program on a thread, and tell it to leave at the end."""
        server = self._here = _Here(self)
        server.thread.start()
        try:
            until(lambda: server.ended.is_set() or self.listens())
            yield self
        finally:
            server.end()

    @property
    def here(self) -> "_Here":
        """The program on its thread."""
        assert self._here is not None
        return self._here


class _Here:
    def __init__(self, pod: Pod) -> None:
        self.ended = threading.Event()
        self.program: Program | None = None
        self.thread = threading.Thread(target=self._run, name="server")
        self._pod = pod
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None

    def _run(self) -> None:
        async def run() -> None:
            self._loop = asyncio.get_running_loop()
            self.program = Program(read_startup(self._pod.environment))
            await self.program.run()

        try:
            asyncio.run(run())
        except BaseException as error:
            self._error = error
        finally:
            self.ended.set()

    def leave(self) -> None:
        if self._loop is not None and self.program is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self.program.leave)

    def end(self) -> None:
        self.leave()
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self._error is not None:
            raise self._error


class ServerProcess:
    """`python -m adapter_server`, with the environment of a pod."""

    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        kept = {name: value for name, value in os.environ.items() if name in _KEPT_VARIABLES}
        self.log = pod.directory / "server.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "adapter_server"],
                env={
                    **kept,
                    "AWS_CONFIG_FILE": os.devnull,
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                    "HF_HUB_OFFLINE": "1",
                    "HOME": str(pod.work),
                    "OMP_NUM_THREADS": "1",
                    **pod.environment,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def end(self, seconds: float = 60) -> int:
        """Wait for its end; return the exit code."""
        return self.process.wait(seconds)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The log so far; each line must be a JSON object."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def termination_message(self) -> str:
        """What the pod's status shows."""
        return (self.pod.directory / "termination-log").read_text()


_KEPT_VARIABLES = frozenset(
    {"PATH", "LANG", "LC_ALL", "TMPDIR", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COV_CORE_SOURCE"}
)
