from __future__ import annotations

import pytest

from adapter_devcluster.apiextensions import formats

pytestmark = pytest.mark.unit

CASES = {
    "date": (["2020-02-29"], ["2021-02-29", "2020-2-9", "2020-01-01T00:00:00Z", ""]),
    "date-time": (
        ["2020-01-02T03:04:05Z", "2020-01-02t03:04:05.123z", "2020-01-02T03:04:05+01:00"],
        ["2020-01-02", "2020-01-02T25:04:05Z", "2020-01-02T03:04:05", "x"],
    ),
    "duration": (["1h", "3 hours", "-5s"], ["", "soon"]),
    "byte": (["YWJj", "YQ=="], ["YWJ", "a b", ""]),
    "uri": (
        ["https://x.dev/a?b=c", "/path", "s3://bucket/x"],
        ["", "x", "mailto:a@b", "http://a b", "http://x:port/", "/%zz"],
    ),
    "email": (["a@b.dev", "Ann <a@b.dev>"], ["a", "a@b@c"]),
    "hostname": (["a.example.dev", "localhost", "é.dev"], ["-a", "a..b", "a" * 64, "a." * 130 + "dev"]),
    "ipv4": (["127.0.0.1", "010.0.0.1", "::ffff:1.2.3.4"], ["256.0.0.1", "1.2.3", "::1"]),
    "ipv6": (["::1", "fe80::1", "::ffff:1.2.3.4"], ["1.2.3.4", "fe80::1%eth0", ":::"]),
    "cidr": (["10.0.0.0/8", "fd00::/64"], ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "10.0.0.0/a"]),
    "mac": (["01:23:45:67:89:ab", "0123.4567.89ab"], ["01:23:45:67:89", "zz:23:45:67:89:ab"]),
    "uuid": (["123e4567-e89b-12d3-a456-426614174000", "123E4567E89B12D3A456426614174000"], ["123"]),
    "uuid3": (["123e4567-e89b-32d3-a456-426614174000"], ["123e4567-e89b-42d3-a456-426614174000"]),
    "uuid4": (["123e4567-e89b-42d3-a456-426614174000"], ["123e4567-e89b-42d3-c456-426614174000"]),
    "uuid5": (["123e4567-e89b-52d3-a456-426614174000"], ["123e4567-e89b-12d3-a456-426614174000"]),
    "isbn": (["0321751043", "978-0321751041"], ["0321751044", "978-0321751042"]),
    "isbn10": (["080442957X"], ["978-0321751041"]),
    "isbn13": (["978-0321751041"], ["0321751043"]),
    "creditcard": (["4111 1111 1111 1111"], ["4111 1111 1111 1112", "1"]),
    "ssn": (["123-45-6789", "123 45 6789"], ["123456789", "12-345-6789"]),
    "hexcolor": (["#fff", "00FF00"], ["#ff", "red"]),
    "rgbcolor": (["rgb(1, 2,255)"], ["rgb(1,2,256)"]),
    "password": (["anything", ""], []),
    "bsonobjectid": (["507f1f77bcf86cd799439011"], ["507f"]),
    "k8s-short-name": (["a-b"], ["A", "a.b", "a" * 64]),
    "k8s-long-name": (["a.b-c"], ["a..b", "a" * 254]),
}


@pytest.mark.parametrize("name", CASES)
def test_formats(name: str) -> None:
    right, wrong = CASES[name]
    assert formats.known("string", name)
    assert [text for text in right if not formats.matches(name, text)] == []
    assert [text for text in wrong if formats.matches(name, text)] == []


def test_which_formats_belong_to_which_types() -> None:
    assert formats.known("integer", "int32")
    assert formats.known("number", "double")
    assert formats.known("", "date-time")
    assert not formats.known("integer", "date")
    assert not formats.known("number", "int32")
    assert not formats.known("boolean", "date")
    assert not formats.known("string", "nope")
