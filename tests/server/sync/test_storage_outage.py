"""A real S3 server that goes away: what is loaded stays, what is new waits, and comes when the store is back."""

from pathlib import Path

import pytest

from adapter_contract import AdapterState, S3Access
from adapter_contract.layout import ArtifactKey
from adapter_contract.s3 import commit_artifact, open_store
from adapter_testing.seaweedfs import SeaweedFS, mount_secret
from adapter_testing.server_lab import Pod, Things, ask, entry

pytestmark = pytest.mark.integration


def test_an_outage_keeps_what_is_loaded_and_a_new_place_is_tried_at_once(
    pod: Pod, things: Things, tmp_path: Path
) -> None:
    first, second, _ = things.versions
    entries = []
    with SeaweedFS.running() as server:
        output = server.location("output", secret=mount_secret(tmp_path / "secret", server.admin))
        pod.storage = S3Access(**output.model_dump(exclude={"uri"}))
        with open_store(output) as store:
            for version in (first, second):
                key = ArtifactKey("support-bot", version.digest).key
                commit_artifact(store, key, version.directory, (version.directory / "manifest.json").read_bytes())
                entries.append(entry("support-bot", version.digest, f"{output.uri}/{key}"))
        pod.write_set(entries[:1])
        with pod.running_here(), pod.client() as client:
            pod.wait_served(support_bot=first.digest)
            before = ask(client, "support-bot", "hello")

            pod.storage = pod.storage.model_copy(update={"endpoint_url": "http://127.0.0.1:9"})
            pod.write_set(entries[1:])
            status = pod.wait_state("support-bot", AdapterState.FAILED)
            assert (status.reason, status.served_digest) == ("StorageUnavailable", first.digest)
            assert ask(client, "support-bot", "hello") == before

            pod.storage = S3Access(**output.model_dump(exclude={"uri"}))
            pod.write_set(entries[1:])
            pod.wait_served(support_bot=second.digest)
            assert ask(client, "support-bot", "hello").digest == second.digest
