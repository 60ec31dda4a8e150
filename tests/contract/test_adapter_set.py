"""The set of adapters to serve, and the names that engines know them by."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapter_contract import (
    AdapterEntry,
    AdapterReport,
    AdapterSet,
    AdapterVersion,
    DocumentTooLarge,
    InvalidDocument,
    MergeComponent,
    MergeDefinition,
    S3Access,
    S3Location,
    engine_name,
    sha256_bytes,
)

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
A, B = sha256_bytes(b"a"), sha256_bytes(b"b")
URI = "s3://adapters/x/"


def adapter_set(*entries, **changes):
    return AdapterSet(**{"generation": 1, "base_model_name": "base", "adapters": entries, **changes})


def entry(name, digest=A, uri=URI, **changes):
    return AdapterEntry(name=name, policy="Optional", digest=digest, uri=uri, **changes)


def component(name, digest=A, weight="0.5", uri=URI):
    return MergeComponent(name=name, digest=digest, uri=uri, weight=weight)


def test_the_engine_name_is_the_name_and_twelve_digits():
    assert engine_name("support-bot", "sha256:" + "0123456789abcdef" * 4) == "support-bot--0123456789ab"


names = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", fullmatch=True)
digests = st.binary(min_size=1, max_size=4).map(sha256_bytes)


@given(names, digests, names, digests)
def test_engine_names_differ_where_names_or_first_digits_do(name, digest, other_name, other_digest):
    same = engine_name(name, digest) == engine_name(other_name, other_digest)
    assert same == (name == other_name and digest[:19] == other_digest[:19])


def test_names_are_unique():
    with pytest.raises(ValidationError, match="adapters: the name 'a' stands twice"):
        adapter_set(entry("a"), entry("b"), entry("a", digest=B))


def test_at_most_256_adapters():
    entries = [entry(f"a{index}") for index in range(257)]
    assert len(adapter_set(*entries[:256]).adapters) == 256
    with pytest.raises(ValidationError, match="at most 256"):
        adapter_set(*entries)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("base")],
        [entry("a"), entry(engine_name("a", A))],
        [entry("a", fallback=AdapterVersion(digest=B, uri=URI)), entry(engine_name("a", B))],
    ],
)
def test_a_name_is_neither_the_bases_nor_that_of_a_version(entries):
    with pytest.raises(ValidationError, match="is the name of the base or of another adapter's version"):
        adapter_set(*entries)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a/b", "-a", "a-", "a.", "x" * 64, "a\n"])
def test_names_are_bounded(name):
    with pytest.raises(ValidationError, match="name"):
        entry(name)


@pytest.mark.parametrize(("digest", "uri"), [(A, None), (None, URI)])
def test_digest_and_source_go_together(digest, uri):
    with pytest.raises(ValidationError, match="a digest needs exactly one of uri and merge"):
        entry("a", digest=digest, uri=uri)


def test_an_entry_may_wait_for_its_digest():
    waiting = entry("a", digest=None, uri=None, fallback=AdapterVersion(digest=B, uri=URI))
    assert waiting.desired is None


def test_a_merge_has_its_own_digest():
    merge = MergeDefinition(method="Linear", components=(component("a"), component("b", B)))
    version = AdapterVersion(digest=merge.digest, merge=merge)
    assert entry("blend", digest=merge.digest, uri=None, merge=merge, fallback=version).desired == version
    with pytest.raises(ValidationError, match="digest must be the merge's own"):
        AdapterVersion(digest=A, merge=merge)
    with pytest.raises(ValidationError, match=f"digest must be the merge's own, {merge.digest}"):
        entry("blend", digest=A, uri=None, merge=merge)
    with pytest.raises(ValidationError, match="exactly one of uri and merge"):
        entry("blend", digest=merge.digest, merge=merge)


def test_the_digest_of_a_merge_is_its_recipes():
    parts = (component("a"), component("b", B, "0.7"))
    merge = MergeDefinition(method="Linear", components=parts)
    same = MergeDefinition(method="Linear", components=(component("x", uri="s3://moved/y"), component("z", B, "0.7")))
    others = [
        MergeDefinition(method="TIES", density="0.5", components=parts),
        MergeDefinition(method="TIES", density="0.6", components=parts),
        MergeDefinition(method="DARE", density="0.5", components=parts),
        MergeDefinition(method="Linear", components=(component("a"), component("b", B))),
        MergeDefinition(method="Linear", components=(component("a", B), component("b", B, "0.7"))),
    ]
    spelled = MergeDefinition(method="Linear", components=(component("b", B, "0.70"), component("a")))
    assert merge.digest == same.digest == spelled.digest
    assert len({merge.digest, *(other.digest for other in others)}) == 6


@pytest.mark.parametrize(("method", "density"), [("Linear", "0.5"), ("TIES", None), ("DARE", None)])
def test_density_is_for_ties_and_dare(method, density):
    with pytest.raises(ValidationError, match="TIES and DARE need it, Linear takes none"):
        MergeDefinition(method=method, density=density, components=(component("a"), component("b", B)))


def test_a_set_that_no_reader_would_take_is_not_written():
    adapters = tuple(
        AdapterEntry(name=f"a{index}", policy="Optional", digest=A, uri="s3://bucket/" + "k" * 2000)
        for index in range(256)
    )
    huge = adapter_set(*adapters)
    huge = huge.model_copy(update={"adapters": huge.adapters * 4})
    with pytest.raises(DocumentTooLarge, match=r"this AdapterSet has .* bytes; at most 1048576 are read back"):
        huge.to_json()


@pytest.mark.parametrize("count", [0, 1, 17])
def test_a_merge_has_2_to_16_components(count):
    with pytest.raises(ValidationError, match="components"):
        MergeDefinition(method="Linear", components=tuple(component(f"a{index}") for index in range(count)))


def test_the_components_of_a_merge_are_unique():
    with pytest.raises(ValidationError, match="components: the name 'a' stands twice"):
        MergeDefinition(method="Linear", components=(component("a"), component("a", B)))


def test_all_adapters_are_reached_in_the_sets_one_way():
    access = S3Access(endpoint_url="http://127.0.0.1:9000", credentials_directory="/c")
    served = adapter_set(entry("a"), storage=access)
    desired = served.adapters[0].desired
    assert desired == AdapterVersion(digest=A, uri=URI)
    assert served.storage.at(URI) == S3Location(
        uri=URI, endpoint_url="http://127.0.0.1:9000", credentials_directory="/c"
    )


def test_a_report_names_an_adapter_once():
    document = json.loads((GOLDEN / "adapter_report.full.json").read_bytes())
    document["adapters"].append(document["adapters"][0])
    with pytest.raises(InvalidDocument, match="the name 'support-bot' stands twice"):
        AdapterReport.from_object(document)
