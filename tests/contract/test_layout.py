"""The layout of an output: fixed keys, and parsers that are their inverse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import input_digest, sha256_bytes, sha256_json
from adapter_contract.layout import (
    ArtifactKey,
    ByInputKey,
    CheckpointKey,
    NotInLayoutError,
    OwnerKey,
    ProbeKey,
    RunKey,
    artifact_uri,
    artifacts_prefix,
    checkpoints_prefix,
    digest_segment,
    parse_artifact_uri,
    parse_key,
    runs_prefix,
    segment_digest,
    training_prefix,
)

pytestmark = pytest.mark.unit

HEX = "ab" * 32
DIGEST = f"sha256:{HEX}"
UID = "3f0c2b1e-6a57-4f0e-9d7c-0a1b2c3d4e5f"

KEYS = {
    training_prefix("bot"): "bot/",
    OwnerKey("bot").key: "bot/owner.json",
    ProbeKey("bot").key: "bot/write-probe",
    artifacts_prefix("bot"): "bot/artifacts/",
    ArtifactKey("bot", DIGEST).key: f"bot/artifacts/sha256-{HEX}/",
    ArtifactKey("bot", DIGEST, "manifest.json").key: f"bot/artifacts/sha256-{HEX}/manifest.json",
    ByInputKey("bot", DIGEST).key: f"bot/by-input/sha256-{HEX}",
    runs_prefix("bot"): "bot/runs/",
    RunKey("bot", UID, 2).key: f"bot/runs/{UID}-2",
    checkpoints_prefix("bot", UID, DIGEST): f"bot/checkpoints/{UID}/sha256-{HEX}/",
    CheckpointKey("bot", UID, DIGEST, 0).key: f"bot/checkpoints/{UID}/sha256-{HEX}/0/",
    artifact_uri("s3://bucket/base/", "bot", DIGEST): f"s3://bucket/base/bot/artifacts/sha256-{HEX}/",
    artifact_uri("file:///out", "bot", DIGEST): f"file:///out/bot/artifacts/sha256-{HEX}/",
}


@pytest.mark.parametrize(("key", "expected"), KEYS.items())
def test_the_keys_are_fixed(key, expected):
    assert key == expected


names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)
uids = st.uuids().map(str) | st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9]{0,20}[A-Za-z0-9])?", fullmatch=True)
digests = st.binary(max_size=4).map(sha256_bytes)
paths = st.lists(
    st.text("abc.-_ é😀", min_size=1, max_size=6).filter(lambda segment: segment not in {".", ".."}),
    max_size=3,
).map("/".join)
numbers = st.integers(0, 2**53 - 1)
keys = st.one_of(
    st.builds(OwnerKey, names),
    st.builds(ProbeKey, names),
    st.builds(ArtifactKey, names, digests, paths),
    st.builds(ByInputKey, names, digests),
    st.builds(RunKey, names, uids, numbers.filter(bool)),
    st.builds(CheckpointKey, names, uids, digests, numbers, paths),
)


@given(keys)
def test_parsing_is_the_inverse_of_writing(key):
    assert parse_key(key.key) == key


@given(keys, keys)
def test_different_things_have_different_keys(one, other):
    assert (one == other) == (one.key == other.key)


@given(
    st.sampled_from(["s3://bucket", "s3://b.b/x/y", "file:///out/artifacts", "s3://b/a/artifacts/x"]), names, digests
)
def test_artifact_uris_are_split_again(output, training, digest):
    uri = artifact_uri(output, training, digest)
    assert parse_artifact_uri(uri) == (output, ArtifactKey(training, digest))
    assert parse_artifact_uri(uri.removesuffix("/")) == (output, ArtifactKey(training, digest))


@given(digests)
def test_digests_stand_without_a_colon(digest):
    assert ":" not in digest_segment(digest)
    assert segment_digest(digest_segment(digest)) == digest


@pytest.mark.parametrize(
    "key",
    [
        "",
        "bot",
        "bot/",
        "/bot/owner.json",
        "Bot/owner.json",
        "bot/owner.json/",
        "bot/other.json",
        "bot/artifacts/",
        f"bot/artifacts/sha256-{HEX}",
        f"bot/artifacts/sha256:{HEX}/x",
        f"bot/artifacts/sha256-{HEX.upper()}/x",
        f"bot/artifacts/sha256-{HEX}0/x",
        f"bot/artifacts/sha512-{HEX}/x",
        f"bot/artifacts/sha256-{HEX}\n/x",
        f"bot/artifacts/sha256-{HEX}//x",
        f"bot/artifacts/sha256-{HEX}/../x",
        f"bot/artifacts/sha256-{HEX}/x/",
        f"bot/by-input/{HEX}",
        f"bot/by-input/sha256-{HEX}/",
        f"bot/runs/{UID}",
        f"bot/runs/{UID}-0",
        f"bot/runs/{UID}-02",
        f"bot/runs/{UID}--2",
        f"bot/runs/{UID}-2.json",
        f"bot/runs/{UID}-٢",
        "bot/runs/-2",
        f"bot/runs/{UID}-99999999999999999",
        f"bot/checkpoints/{UID}/sha256-{HEX}/7",
        f"bot/checkpoints/{UID}/sha256-{HEX}/07/",
        f"bot/checkpoints/{UID}/sha256-{HEX}/-7/",
        f"bot/checkpoints/{UID}/sha256-{HEX}/+7/",
        f"bot/checkpoints/{UID}/{HEX}/7/",
        f"bot/checkpoints/a_b/sha256-{HEX}/7/",
        f"bot/\x00/sha256-{HEX}/7/",
    ],
)
def test_other_keys_have_no_place(key):
    with pytest.raises(NotInLayoutError):
        parse_key(key)


@pytest.mark.parametrize(
    "make",
    [
        lambda: OwnerKey("a/b").key,
        lambda: OwnerKey("..").key,
        lambda: OwnerKey("bot\n").key,
        lambda: RunKey("bot", "../x", 1).key,
        lambda: RunKey("bot", UID, 0).key,
        lambda: CheckpointKey("bot", UID, DIGEST, -1).key,
        lambda: ArtifactKey("bot", "sha256:../../x").key,
        lambda: ArtifactKey("bot", DIGEST, "../x").key,
        lambda: ArtifactKey("bot", DIGEST, "/x").key,
        lambda: parse_artifact_uri("s3://bucket/x"),
        lambda: parse_artifact_uri(f"s3://bucket/Bot/artifacts/sha256-{HEX}/"),
        lambda: parse_artifact_uri(f"s3://bucket/bot/artifacts/{HEX}/"),
        lambda: parse_artifact_uri(f"s3://bucket/bot/artifacts/sha256-{HEX}/adapter_config.json"),
    ],
)
def test_no_key_leaves_its_output(make):
    with pytest.raises(NotInLayoutError):
        make()


def test_the_input_digest_is_fixed():
    parts = {name: sha256_bytes(name.encode()) for name in ("recipe", "dataset", "evaluation", "base", "parent")}
    found = input_digest(
        recipe_hash=parts["recipe"],
        dataset_digest=parts["dataset"],
        evaluation_digest=parts["evaluation"],
        base_digest=parts["base"],
        parent_digest=parts["parent"],
    )
    assert found == sha256_json(
        {
            "recipeHash": parts["recipe"],
            "datasetDigest": parts["dataset"],
            "evaluationDigest": parts["evaluation"],
            "baseDigest": parts["base"],
            "parentDigest": parts["parent"],
        }
    )
    assert found == "sha256:e6ebe48d3e455d94f0f2aa24e71cf5330b5dabba63f61a8bbc76c3d52d0e18c0"


@given(st.lists(st.none() | digests, min_size=2, max_size=2), st.lists(digests, min_size=3, max_size=3))
def test_each_input_has_its_own_place(optional, required):
    def digest(evaluation, parent, recipe, dataset, base):
        return input_digest(
            recipe_hash=recipe,
            dataset_digest=dataset,
            evaluation_digest=evaluation,
            base_digest=base,
            parent_digest=parent,
        )

    inputs = [*optional, *required]
    rotated = [optional[1], optional[0], required[1], required[2], required[0]]
    assert (digest(*inputs) == digest(*rotated)) == (inputs == rotated)
