"""Decimal strings, times, texts, and the digests of bytes, files and directories."""

import hashlib
import math
import os
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from adapter_contract import (
    NotCanonical,
    NotRegularError,
    as_decimal,
    as_float,
    decimal_string,
    sha256_bytes,
    sha256_chunks,
    sha256_directory,
    sha256_file,
    sha256_json,
)
from adapter_contract.scalars import (
    AbsolutePath,
    Count,
    DecimalString,
    Message,
    Name,
    PositiveCount,
    ShortText,
    Timestamp,
)
from adapter_contract.tree import walk

pytestmark = pytest.mark.unit


def accepts(scalar, value):
    try:
        TypeAdapter(scalar).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("text", ["0", "-1", "0.05", "2e-4", "1.50", "1E+21", "007", "-0.0", "9" * 24])
def test_decimal_strings_are_exact(text):
    assert accepts(DecimalString, text)
    assert as_decimal(text) == Decimal(text)
    assert as_float(text) == float(text)


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "1e", "1e100", "+1", " 1", "1\n", "NaN", "Infinity", "1,5", "0x1", "1_000", "٣", "9" * 25]
)
def test_other_texts_are_no_decimals(text):
    assert not accepts(DecimalString, text)
    with pytest.raises(ValueError, match="is not a decimal number"):
        as_decimal(text)


@settings(deadline=None)
@given(st.floats(min_value=1e-90, max_value=1e90) | st.floats(-1e90, -1e-90) | st.just(0.0))
def test_a_double_survives_its_decimal_string(number):
    assert as_float(decimal_string(number)) == number


@pytest.mark.parametrize(
    ("number", "text"), [(1.0, "1"), (2e-4, "0.0002"), (1e-5, "1e-5"), (1e21, "1e21"), (-0.0, "0"), (3, "3")]
)
def test_decimal_strings_are_short(number, text):
    assert decimal_string(number) == text


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e100, 1e-100])
def test_what_has_no_decimal_string_is_refused(number):
    with pytest.raises(ValueError, match="decimal"):
        decimal_string(number)


def test_times_are_whole_seconds_in_utc():
    adapter = TypeAdapter(Timestamp)
    berlin = datetime(2026, 11, 22, 9, 30, 0, 999999, tzinfo=timezone(timedelta(hours=1)))
    assert adapter.validate_python(berlin) == datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
    assert adapter.dump_json(adapter.validate_python(berlin)) == b'"2026-11-22T08:30:00Z"'
    assert adapter.dump_json(datetime(1, 1, 1, tzinfo=UTC)) == b'"0001-01-01T00:00:00Z"'


@pytest.mark.parametrize(
    "text", ['"2026-11-22T08:30:00"', '"0001-01-01T00:00:00+01:00"', '"tomorrow"', "1700000000", "null"]
)
def test_times_without_zone_or_out_of_range_are_refused(text):
    with pytest.raises(ValidationError):
        TypeAdapter(Timestamp).validate_json(text, strict=True)


@pytest.mark.parametrize("name", ["a", "7b", "support-bot", "support-v1.2", "x" * 63, "a--b"])
def test_names(name):
    assert accepts(Name, name)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", ".a", "a.", "a_b", "a/b", "a b", "é", "x" * 64, "a\n"])
def test_no_names(name):
    assert not accepts(Name, name)


def test_counts_are_what_json_carries_exactly():
    assert accepts(Count, 0)
    assert accepts(Count, 2**53 - 1)
    assert not accepts(Count, 2**53)
    assert not accepts(Count, -1)
    assert not accepts(Count, value=True)
    assert not accepts(PositiveCount, 0)


@pytest.mark.parametrize("path", ["/", "/a", "/a/b.c/..d", "/mnt/base"])
def test_absolute_paths(path):
    assert accepts(AbsolutePath, path)


@pytest.mark.parametrize("path", ["", "a", "./a", "/a/../b", "/..", "/a\x00b", "/a\nb", "/" + "a" * 4096])
def test_no_absolute_paths(path):
    assert not accepts(AbsolutePath, path)


def test_texts_are_bounded_and_printable():
    assert accepts(ShortText, "registry.example/image@sha256:abc")
    assert not accepts(ShortText, "")
    assert not accepts(ShortText, "a\nb")
    assert not accepts(ShortText, "x" * 1025)
    assert not accepts(Message, 7)


def write_tree(root, files):
    for path, data in files:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


TREE = [("b.txt", b"b"), ("a/z", b""), ("a/b/c.bin", b"\x00\x01"), ("a.txt", b"a"), ("é", b"e"), ("A", b"A")]


def test_digests_of_bytes_files_and_documents(tmp_path):
    data = os.urandom(3_000_000)
    expected = "sha256:" + hashlib.sha256(data).hexdigest()
    (tmp_path / "f").write_bytes(data)
    assert sha256_bytes(data) == sha256_file(tmp_path / "f") == expected
    assert sha256_chunks(data[start : start + 7919] for start in range(0, len(data), 7919)) == expected
    assert sha256_json({"b": 1, "a": [None, "é"]}) == sha256_bytes('{"a":[null,"é"],"b":1}'.encode())


def test_the_digest_of_a_directory_is_fixed(tmp_path):
    write_tree(tmp_path, [("b", b""), ("a/c", b"x")])
    listed = [
        {"path": "a/c", "sizeBytes": 1, "digest": sha256_bytes(b"x")},
        {"path": "b", "sizeBytes": 0, "digest": sha256_bytes(b"")},
    ]
    assert sha256_directory(tmp_path) == sha256_json(listed)


def test_the_digest_of_a_directory_is_independent_of_the_order_of_listing(tmp_path, monkeypatch):
    write_tree(tmp_path, TREE)
    expected = sha256_directory(tmp_path)
    real = os.scandir
    shuffled = random.Random(0)  # noqa: S311 - an order, not a secret

    class Shuffled:
        def __init__(self, path):
            with real(path) as listing:
                self.entries = list(listing)
            shuffled.shuffle(self.entries)

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", Shuffled)
    orders = set()
    for _ in range(20):
        assert sha256_directory(tmp_path) == expected
        assert [path for path, _ in walk(tmp_path)] == ["A", "a.txt", "a/b/c.bin", "a/z", "b.txt", "é"]
        orders.add(tuple(entry.name for entry in Shuffled(tmp_path).entries))
    assert len(orders) > 1


def test_the_digest_of_a_directory_is_independent_of_times_modes_and_empty_directories(tmp_path):
    write_tree(tmp_path, TREE)
    expected = sha256_directory(tmp_path)
    (tmp_path / "a.txt").chmod(0o400)
    os.utime(tmp_path / "a.txt", (0, 0))
    (tmp_path / "empty").mkdir()
    assert sha256_directory(tmp_path) == expected


@pytest.mark.parametrize("change", ["content", "name", "removal", "addition", "move"])
def test_the_digest_of_a_directory_depends_on_every_byte_and_path(tmp_path, change):
    write_tree(tmp_path, TREE)
    before = sha256_directory(tmp_path)
    match change:
        case "content":
            (tmp_path / "a.txt").write_bytes(b"b")
        case "name":
            (tmp_path / "a.txt").rename(tmp_path / "c.txt")
        case "removal":
            (tmp_path / "a" / "z").unlink()
        case "addition":
            (tmp_path / "c").write_bytes(b"")
        case "move":
            (tmp_path / "a" / "z").rename(tmp_path / "z")
    assert sha256_directory(tmp_path) != before


def test_a_link_in_a_directory_is_refused(tmp_path):
    write_tree(tmp_path, TREE)
    (tmp_path / "link").symlink_to("a.txt")
    with pytest.raises(NotRegularError, match="link is a symbolic link"):
        sha256_directory(tmp_path)


def test_a_file_name_that_is_not_utf_8_is_refused(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff", "wb"):  # noqa: PTH123 - pathlib has no bytes
        pass
    with pytest.raises(NotCanonical):
        sha256_directory(tmp_path)
