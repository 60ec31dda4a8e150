"""Versions that come and go in a running server, from a store on disk."""

import shutil
import threading

import openai
import pytest

from adapter_contract import AdapterState
from adapter_server.gateway.endpoint import DIGEST_HEADER
from adapter_testing.server_lab import Pod, Shelf, Things, ask, clear_questions, entry
from adapter_testing.trainer_lab import BASE_NAME

pytestmark = pytest.mark.integration

SWAPS = 20
CLIENTS = 4


class Load:
    """Clients that ask without a pause, and note every failure and every answer that its digest does not give."""

    def __init__(self, pod: Pod, expected: dict[tuple[str, str], str]) -> None:
        self.wrong: list[str] = []
        self.digests: list[str] = []
        self._expected = expected
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(pod, number)) for number in range(CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, pod: Pod, number: int) -> None:
        questions = sorted({question for _, question in self._expected})
        with pod.client() as client:
            turn = number
            while not self._stop.is_set():
                turn += 1
                question = questions[turn % len(questions)]
                try:
                    answer = ask(client, "support-bot", question, stream=turn % 2 == 0)
                except openai.OpenAIError as error:
                    self.wrong.append(repr(error))
                    continue
                self.digests.append(answer.digest)
                if self._expected.get((answer.digest, question)) != answer.text:
                    self.wrong.append(f"{answer} to {question!r}")


def test_no_request_fails_and_no_answer_is_mixed_while_versions_are_swapped(
    pod: Pod, shelf: Shelf, things: Things
) -> None:
    first, second, _ = things.versions
    wanted = {version.digest: shelf.put(version) for version in (first, second)}
    pod.write_set([entry("support-bot", first.digest, wanted[first.digest])])
    with pod.running_here():
        pod.wait_served(support_bot=first.digest)
        expected: dict[tuple[str, str], str] = {}
        for digest, uri in wanted.items():
            pod.write_set([entry("support-bot", digest, uri)])
            pod.wait_served(support_bot=digest)
            expected |= {(digest, question): text for question, text in clear_questions(pod, "support-bot").items()}
        questions = {question for _, question in expected}
        common = {q for q in questions if all((digest, q) in expected for digest in wanted)}
        expected = {key: text for key, text in expected.items() if key[1] in common}
        assert len(common) >= 3
        assert all(expected[first.digest, q] != expected[second.digest, q] for q in common)

        with Load(pod, expected) as load:
            for number in range(SWAPS):
                version = (first, second)[number % 2]
                pod.write_set([entry("support-bot", version.digest, wanted[version.digest])])
                pod.wait_served(support_bot=version.digest)

        assert load.wrong == []
        assert set(load.digests) == set(wanted)
        assert len(load.digests) > SWAPS
        assert pod.report().engine.cached_adapters == 1


def test_a_stream_ends_on_the_version_that_it_began_with(pod: Pod, shelf: Shelf, things: Things) -> None:
    first, second, _ = things.versions
    pod.changes["limits"] = {"requestTimeoutSeconds": 60, "maxQueuedRequests": 32, "maxOutputTokens": 200}
    pod.write_set([entry("support-bot", first.digest, shelf.put(first))])
    with pod.running_here(), pod.client() as client:
        pod.wait_served(support_bot=first.digest)
        with client.chat.completions.with_streaming_response.create(
            model="support-bot", messages=[{"role": "user", "content": "hello"}], stream=True, temperature=0
        ) as response:
            lines = response.iter_lines()
            begun = next(lines)
            pod.write_set([entry("support-bot", second.digest, shelf.put(second))])
            pod.wait_served(support_bot=second.digest)
            rest = [line for line in lines if line]
        assert begun.startswith("data: {")
        assert rest[-1] == "data: [DONE]"
        assert response.headers[DIGEST_HEADER] == first.digest


def test_going_back_needs_no_download(pod: Pod, shelf: Shelf, things: Things) -> None:
    first, second, third = things.versions
    uris = [shelf.put(version) for version in things.versions]
    pod.write_set([entry("support-bot", first.digest, uris[0])])
    with pod.running_here():
        pod.wait_served(support_bot=first.digest)
        pod.write_set([entry("support-bot", second.digest, uris[1])])
        pod.wait_served(support_bot=second.digest)
        shutil.rmtree(shelf.root)
        pod.write_set([entry("support-bot", first.digest, uris[0])])
        pod.wait_served(support_bot=first.digest)
        pod.write_set([entry("support-bot", third.digest, uris[2])])
        status = pod.wait_state("support-bot", AdapterState.FAILED)
    assert (status.reason, status.served_digest) == ("InputMissing", first.digest)
    kept = sorted(path.name for path in (pod.work / "adapters").iterdir())
    assert len(kept) == 2


def test_a_removed_adapter_is_unknown_at_once_and_leaves_nothing(pod: Pod, shelf: Shelf, things: Things) -> None:
    first, second, _ = things.versions
    gone, kept = entry("gone", first.digest, shelf.put(first)), entry("kept", second.digest, shelf.put(second))
    pod.write_set([gone, kept])
    with pod.running_here(), pod.client() as client:
        pod.wait_served(gone=first.digest, kept=second.digest)
        pod.write_set([kept])
        pod.wait_served(kept=second.digest)
        with pytest.raises(openai.NotFoundError) as refused:
            ask(client, "gone", "hello")
        assert refused.value.code == "model_not_found"
        assert f"there are: {BASE_NAME}, kept" in str(refused.value)
        assert [path.name for path in (pod.work / "adapters").iterdir()] == [f"kept@{second.digest.replace(':', '-')}"]
        assert pod.report().engine.cached_adapters == 1


def test_a_restarted_server_serves_from_its_disk_after_it_verified_it(pod: Pod, shelf: Shelf, things: Things) -> None:
    first, second, _ = things.versions
    sound, damaged = entry("sound", first.digest, shelf.put(first)), entry("damaged", second.digest, shelf.put(second))
    pod.write_set([sound, damaged])
    with pod.running_here():
        pod.wait_served(sound=first.digest, damaged=second.digest)
    shutil.rmtree(shelf.directory(first))
    weights = pod.work / "adapters" / f"damaged@{second.digest.replace(':', '-')}" / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    (pod.work / "adapters" / ".torn.tmp-1").mkdir()
    with pod.running_here():
        pod.wait_served(sound=first.digest, damaged=second.digest)
        assert weights.read_bytes() == (second.directory / "adapter_model.safetensors").read_bytes()
        assert not (pod.work / "adapters" / ".torn.tmp-1").exists()
