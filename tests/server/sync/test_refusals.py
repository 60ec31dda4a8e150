"""What is torn, forged or does not fit is never served, says why, and leaves what answers alone."""

import json
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
import requests

from adapter_contract import AdapterState
from adapter_testing.server_lab import Pod, Shelf, Things, ask, entry

pytestmark = pytest.mark.integration

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "weights flipped": lambda directory: flip(directory / WEIGHTS),
    "weights cut": lambda directory: cut(directory / WEIGHTS),
    "weights missing": lambda directory: (directory / WEIGHTS).unlink(),
    "configuration flipped": lambda directory: flip(directory / CONFIG),
    "configuration cut": lambda directory: cut(directory / CONFIG),
    "configuration missing": lambda directory: (directory / CONFIG).unlink(),
    "manifest flipped": lambda directory: flip(directory / "manifest.json"),
    "manifest cut": lambda directory: cut(directory / "manifest.json"),
    "manifest of another adapter": lambda directory: (directory / "manifest.json").write_text(
        json.dumps(json.loads((directory / "manifest.json").read_text()) | {"createdTime": "2020-01-01T00:00:00Z"})
    ),
}


def test_a_damaged_artifact_is_refused_and_the_version_before_goes_on(pod: Pod, shelf: Shelf, things: Things) -> None:
    first, second, _ = things.versions
    good = entry("support-bot", first.digest, shelf.put(first))
    pod.write_set([good])
    with pod.running_here(), pod.client() as client:
        pod.wait_served(support_bot=first.digest)
        before = ask(client, "support-bot", "hello")
        for number, damage in enumerate(DAMAGES):
            training = f"damaged-{number}"
            uri = shelf.put(second, training)
            DAMAGES[damage](shelf.directory(second, training))
            pod.write_set([entry("support-bot", second.digest, uri)])
            status = pod.wait_state("support-bot", AdapterState.REFUSED)
            assert (damage, status.reason, status.served_digest) == (damage, "AdapterRefused", first.digest)
            assert status.message
            assert ask(client, "support-bot", "hello") == before
            pod.write_set([good])
            pod.wait_served(support_bot=first.digest)


def test_what_does_not_fit_the_engine_is_refused_by_its_reason(pod: Pod, shelf: Shelf, things: Things) -> None:
    first = things.versions[0]
    pod.write_set([entry("support-bot", first.digest, shelf.put(first))])
    with pod.running_here():
        pod.wait_served(support_bot=first.digest)
        for unfit, reason in ((things.too_large, "RankExceedsEngine"), (things.foreign, "BaseModelMismatch")):
            pod.write_set([entry("support-bot", unfit.digest, shelf.put(unfit))])
            status = pod.wait_state("support-bot", AdapterState.REFUSED)
            assert (status.reason, status.served_digest) == (reason, first.digest)


def test_an_adapter_with_nothing_to_serve_answers_503_and_never_as_the_base(
    pod: Pod, shelf: Shelf, things: Things
) -> None:
    unfit = things.too_large
    entries = [entry("waiting"), entry("refused", unfit.digest, shelf.put(unfit)), entry("merged", **merge(things))]
    pod.write_set(entries)
    with pod.running_here(), pod.client() as client:
        pod.wait_state("refused", AdapterState.REFUSED)
        status = pod.wait_state("merged", AdapterState.REFUSED)
        assert status.reason == "InvalidMerge"
        assert "this release can't make" in status.message
        assert pod.wait_state("waiting", AdapterState.WAITING).served_digest is None
        for name in ("waiting", "refused", "merged"):
            with pytest.raises(openai.InternalServerError) as error:
                ask(client, name, "hello")
            assert error.value.status_code == 503
            assert error.value.response.headers["retry-after"] == "2"
            assert name in str(error.value)


def merge(things: Things) -> dict[str, object]:
    from adapter_contract import MergeComponent, MergeDefinition  # noqa: PLC0415

    parts = [
        MergeComponent(name=f"part-{number}", digest=version.digest, uri=f"s3://adapters/{number}/", weight="0.5")
        for number, version in enumerate(things.versions)
    ]
    definition = MergeDefinition(method="Linear", components=tuple(parts))
    return {"digest": definition.digest, "merge": definition.model_dump(mode="json", by_alias=True, exclude_none=True)}


def test_the_fallback_answers_where_the_desired_version_is_refused(pod: Pod, shelf: Shelf, things: Things) -> None:
    first, unfit = things.versions[0], things.too_large
    fallback = {"digest": first.digest, "uri": shelf.put(first)}
    pod.write_set([entry("support-bot", unfit.digest, shelf.put(unfit), fallback=fallback, policy="Required")])
    with pod.running_here():
        pod.wait_served(support_bot=first.digest)
        assert pod.wait_state("support-bot", AdapterState.REFUSED).served_digest == first.digest
        assert pod.report().ready is True


def test_a_pod_is_ready_once_its_required_adapters_are_loaded_or_refused(
    pod: Pod, shelf: Shelf, things: Things
) -> None:
    first, second, _ = things.versions
    late = entry("late", first.digest, f"{shelf.uri}/late/artifacts/x/", policy="Required")
    hopeless = entry("hopeless", things.too_large.digest, shelf.put(things.too_large), policy="Required")
    pod.write_set([late, hopeless])
    with pod.running_here():
        pod.wait_state("late", AdapterState.FAILED)
        pod.wait_state("hopeless", AdapterState.REFUSED)
        answer = requests.get(f"{pod.url}/readyz", timeout=10)
        assert (answer.status_code, answer.json()["message"]) == (503, "a Required adapter is not loaded yet")
        assert requests.get(f"{pod.url}/healthz", timeout=10).status_code == 200
        pod.write_set([entry("late", first.digest, shelf.put(first), policy="Required"), hopeless])
        pod.wait_ready()
        pod.write_set([entry("other", second.digest, f"{shelf.uri}/nowhere/", policy="Required")])
        pod.wait_state("other", AdapterState.FAILED)
        assert pod.ready(), "a Required adapter that is added later must not take the pod out of service"


def test_a_set_that_can_not_be_used_leaves_the_one_before_in_force(pod: Pod, shelf: Shelf, things: Things) -> None:
    first, second, _ = things.versions
    with pod.running_here(), pod.client() as client:
        until_told(pod, "can't be read: No such file or directory")
        pod.write_set([entry("support-bot", first.digest, shelf.put(first))])
        pod.wait_served(support_bot=first.digest)
        applied = pod.generation
        pod.write_raw_set("{")
        pod.write_set([entry("support-bot", second.digest, shelf.put(second))], baseModelName="another/base")
        answer = ask(client, "support-bot", "hello")
        assert (answer.digest, pod.report().generation) == (first.digest, applied)
        pod.write_set([entry("support-bot", second.digest, shelf.directory(second).as_uri())])
        pod.wait_served(support_bot=second.digest)


def until_told(pod: Pod, words: str) -> None:
    from adapter_testing.waiting import until  # noqa: PLC0415

    def holds() -> bool:
        try:
            return words in requests.get(f"{pod.url}/readyz", timeout=10).json()["message"]
        except requests.ConnectionError:
            return False

    until(holds)
