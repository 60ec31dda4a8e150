"""The base of all documents: versions, strictness, errors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError

from adapter_contract import (
    AdapterSet,
    DocumentTooLarge,
    InvalidDocument,
    NotJSON,
    Owner,
    Part,
    Progress,
    TrainerConfig,
    UnsupportedSchemaVersion,
    WrongKind,
)
from adapter_contract.documents import Document, Step, parse_object

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"


class Window(Part):
    opens_at: int


class Shop(Document):
    """Version 2 renamed `label` to `name` and nested `opensAt`."""

    kind: ClassVar[str] = "Shop"
    schema_version: ClassVar[int] = 2
    written_by: ClassVar[str] = "the owner's app"
    read_by: ClassVar[str] = "the map"
    upgrades: ClassVar[Mapping[int, Step]] = {
        1: lambda old: {"name": old["label"], "window": {"opensAt": old["opensAt"]}}
    }
    downgrades: ClassVar[Mapping[int, Step]] = {
        1: lambda new: {"label": new["name"], "opensAt": new["window"]["opensAt"]}
    }

    name: str
    window: Window
    note: str | None = None


def shop(version, **body):
    return json.dumps({"kind": "Shop", "schemaVersion": version, **body})


def test_the_current_version_is_read_and_written_canonically_and_without_nulls():
    read = Shop.from_json(shop(2, window={"opensAt": 9}, name="corner"))
    assert read == Shop(name="corner", window=Window(opens_at=9))
    assert read.to_json() == b'{"kind":"Shop","name":"corner","schemaVersion":2,"window":{"opensAt":9}}'


def test_the_version_before_is_upgraded():
    assert Shop.from_json(shop(1, label="corner", opensAt=9)) == Shop(name="corner", window=Window(opens_at=9))


def test_a_reader_one_release_behind_can_be_served():
    written = Shop(name="corner", window=Window(opens_at=9)).to_json(version=1)
    assert written == b'{"kind":"Shop","label":"corner","opensAt":9,"schemaVersion":1}'


@pytest.mark.parametrize(("version", "side"), [(0, "the owner's app"), (-1, "the owner's app"), (3, "the map")])
def test_other_versions_are_refused_by_the_name_of_the_side_to_upgrade(version, side):
    with pytest.raises(UnsupportedSchemaVersion) as caught:
        Shop.from_json(shop(version, name="corner"))
    assert (caught.value.kind, caught.value.found, caught.value.understood) == ("Shop", version, (1, 2))
    assert str(caught.value) == (
        f"Shop has schemaVersion {version}, but this release understands 1 and 2: upgrade {side}"
    )


@pytest.mark.parametrize(("version", "side"), [(0, "the map"), (3, "the owner's app")])
def test_other_versions_are_not_written(version, side):
    with pytest.raises(UnsupportedSchemaVersion, match=f"upgrade {side}"):
        Shop(name="corner", window=Window(opens_at=9)).to_json(version=version)


def test_a_body_that_cannot_be_upgraded_is_invalid():
    with pytest.raises(InvalidDocument, match="can't be upgraded from schemaVersion 1: KeyError"):
        Shop.from_json(shop(1, opensAt=9))


def test_a_class_that_forgets_its_upgrade_is_refused():
    with pytest.raises(TypeError, match="Later has version 2"):

        class Later(Document):
            kind: ClassVar[str] = "Later"
            schema_version: ClassVar[int] = 2


def test_a_class_cannot_promise_more_than_one_version_back():
    with pytest.raises(TypeError, match="Later"):

        class Later(Document):
            kind: ClassVar[str] = "Later"
            schema_version: ClassVar[int] = 2
            upgrades: ClassVar[Mapping[int, Step]] = {1: dict}
            downgrades: ClassVar[Mapping[int, Step]] = {0: dict}


def test_a_class_needs_a_kind():
    with pytest.raises(TypeError, match="Nameless needs a kind"):

        class Nameless(Document):
            pass


def test_fields_of_a_newer_writer_are_ignored_at_any_depth():
    read = Shop.from_json(shop(2, name="corner", window={"opensAt": 9, "closesAt": 18}, colour="red"))
    assert read == Shop(name="corner", window=Window(opens_at=9))


def test_unknown_fields_in_python_are_a_mistake():
    with pytest.raises(ValidationError, match="colour"):
        Shop(name="corner", window=Window(opens_at=9), colour="red")


def test_python_names_are_no_json_names():
    with pytest.raises(InvalidDocument, match=r"window\.opensAt: Field required"):
        Shop.from_json(shop(2, name="corner", window={"opens_at": 9}))


def test_documents_are_frozen():
    document = Shop(name="corner", window=Window(opens_at=9))
    with pytest.raises(ValidationError, match="frozen"):
        document.name = "other"


def test_all_problems_are_named_by_their_json_path():
    with pytest.raises(InvalidDocument) as caught:
        Shop.from_json(shop(2, name=7, window={"opensAt": "9"}))
    assert [problem.field for problem in caught.value.problems] == ["name", "window.opensAt"]
    assert "7" not in str(caught.value)


def test_problems_inside_a_union_and_a_list_have_paths_without_pydantics_tags():
    document = json.loads((GOLDEN / "trainer_config.full.json").read_bytes())
    document["method"]["rank"] = "16"
    document["dataset"]["columns"][1]["from"] = ""
    document["dataset"]["source"]["location"]["uri"] = "s3:/typo"
    with pytest.raises(InvalidDocument) as caught:
        TrainerConfig.from_object(document)
    assert [problem.field for problem in caught.value.problems] == [
        "method.rank",
        "dataset.source.location.uri",
        "dataset.columns[1].from",
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "Expecting value"),
        (b"{", "the document is not JSON"),
        (b"{} {}", "Extra data"),
        (b"[]", "is a JSON array; an object is required"),
        (b'"x"', "is a JSON string"),
        (b"1", "is a JSON number"),
        (b"true", "is a JSON boolean"),
        (b"null", "is a JSON null"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'{"a": "\xff"}', "utf-8"),
        (b'{"a": 1, "a": 1}', "the key 'a' stands twice"),
        (b'{"x": [{"a": 1, "b": 2, "a": 3}]}', "the key 'a' stands twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (b'{"a": 1e999}', "beyond the range of a double"),
        (b'{"a": "\\ud800"}', "surrogates not allowed"),
        (b'{"\\udc00": 1}', "surrogates not allowed"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the document is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
    ],
    ids=lambda value: repr(value[:24]),
)
def test_what_is_no_json_object_is_refused_with_the_reason(data, message):
    with pytest.raises(NotJSON, match=message):
        Owner.from_json(data, max_bytes=1 << 20)


def test_text_with_a_lone_surrogate_is_no_json():
    with pytest.raises(NotJSON, match="surrogates not allowed"):
        parse_object('{"a": "\ud800"}', limit=100)


def test_an_escaped_pair_of_surrogates_is_a_character():
    assert parse_object(b'{"a": "\\ud83d\\ude00"}', limit=100) == {"a": "😀"}


def test_the_limit_counts_bytes_and_is_judged_before_parsing():
    text = '{"a":"€"}'
    assert parse_object(text, limit=11) == {"a": "€"}
    with pytest.raises(DocumentTooLarge, match="has 11 bytes; at most 10 are accepted"):
        parse_object(text, limit=10)
    with pytest.raises(DocumentTooLarge):
        Owner.from_json(b"x" * (Owner.max_bytes + 1))


@pytest.mark.parametrize(
    "kind", ["null", "1", '"Progress "', '"progress"', '"AdapterSet"'], ids=lambda kind: kind.strip('"')
)
def test_another_kind_is_refused(kind):
    with pytest.raises(WrongKind, match="expected a document of kind Progress"):
        Progress.from_json(f'{{"kind": {kind}, "schemaVersion": 1}}')


@pytest.mark.parametrize("version", ["null", '"1"', "1.0", "true"])
def test_a_schema_version_is_an_integer(version):
    with pytest.raises(InvalidDocument, match="schemaVersion: an integer is required"):
        AdapterSet.from_json(f'{{"kind": "AdapterSet", "schemaVersion": {version}}}')


@pytest.mark.parametrize("wrong", ['"7"', "7.0", "true", "-1", str(2**53)])
def test_types_are_strict(wrong):
    with pytest.raises(InvalidDocument, match="generation"):
        AdapterSet.from_json(
            f'{{"kind": "AdapterSet", "schemaVersion": 1, "baseModelName": "base", "generation": {wrong}}}'
        )
