"""One running pod for all tests that leave its adapters as they are."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from adapter_testing.server_lab import Pod, Shelf, Things, entry

LONG = {"requestTimeoutSeconds": 60, "maxQueuedRequests": 32, "maxOutputTokens": 4000}


@pytest.fixture(scope="session")
def serving(things: Things, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """A pod that serves `support-bot` and knows `waiting`."""
    directory = tmp_path_factory.mktemp("serving")
    pod, shelf, first = Pod(directory / "pod", things.base), Shelf(directory / "store"), things.versions[0]
    pod.write_set([entry("support-bot", first.digest, shelf.put(first)), entry("waiting")])
    with pod.running_here():
        pod.wait_served(support_bot=first.digest, waiting=None)
        yield pod


@pytest.fixture
def client(serving: Pod) -> Iterator[openai.OpenAI]:
    with serving.client() as found:
        yield found


@pytest.fixture
def own_pod(things: Things, tmp_path: Path) -> Pod:
    """A pod of the test's own, not started."""
    return Pod(tmp_path / "pod", things.base)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "store")


@pytest.fixture
def long_answers(own_pod: Pod) -> Pod:
    """The test's own pod, whose answers may last for seconds."""
    own_pod.changes |= {"limits": LONG, "engine": {**own_pod.config["engine"], "maxModelLength": 4096}}
    return own_pod
