"""Storage locations: forms that are accepted, parts that are read off, and no place for a credential."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from adapter_contract import HubDatasetSource, HubModelSource, PathSource, S3Access, S3Location, S3Source
from adapter_contract.locations import DatasetSource, ModelSource

pytestmark = pytest.mark.unit

ACCESS = {
    "endpoint_url": "https://minio.storage.svc:9000",
    "region": "eu-central-1",
    "addressing_style": "Path",
    "credentials_directory": "/var/run/credentials",
    "ca_bundle_file": "/var/run/ca/ca.crt",
}


@pytest.mark.parametrize(
    ("uri", "bucket", "prefix"),
    [
        ("s3://models", "models", ""),
        ("s3://models/", "models", ""),
        ("s3://models/a", "models", "a"),
        ("s3://models/a/b/", "models", "a/b"),
        ("s3://my.bucket-1/ü b/c%20d#e?f", "my.bucket-1", "ü b/c%20d#e?f"),
    ],
)
def test_s3_uris(uri, bucket, prefix):
    location = S3Location(uri=uri)
    assert (location.bucket, location.prefix, location.is_local) == (bucket, prefix, False)
    assert location.uri == uri
    with pytest.raises(ValueError, match="not a local directory"):
        _ = location.directory


@pytest.mark.parametrize(
    ("uri", "directory"),
    [("file:///tmp/a b", "/tmp/a b"), ("file:///x/", "/x"), ("file:///", "/")],  # noqa: S108
)
def test_local_uris(uri, directory):
    location = S3Location(uri=uri)
    assert location.is_local
    assert location.directory == Path(directory)
    assert (location.bucket, location.prefix) == ("", "")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "s3://",
        "s3:/a/b",
        "s3:///a",
        "s3://ab",
        "S3://models/a",
        "s3://key:secret@models/a",
        "s3://models//a",
        "s3://models/a//b",
        "s3://models/a//",
        "s3://models/../a",
        "s3://models/a/..",
        "s3://models/./a",
        "s3://models/a\\b",
        "s3://models/a\nb",
        "s3://models/a\n",
        "s3://models/\x7f",
        "https://models/a",
        "file://a",
        "file://host/a",
        "file:///a/../b",
        "/a",
        "s3://models/" + "a" * 2048,
    ],
)
def test_other_uris_are_refused(uri):
    with pytest.raises(ValidationError):
        S3Location(uri=uri)


@pytest.mark.parametrize(
    "endpoint", ["minio:9000", "ftp://minio", "https://user:secret@minio", "http://a b", "http://a\n", "http://"]
)
def test_endpoints_hold_no_user_information(endpoint):
    with pytest.raises(ValidationError):
        S3Location(uri="s3://models", endpoint_url=endpoint)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8333", "http://[::1]:9000", "https://store.example/s3/v1"])
def test_endpoints(endpoint):
    assert S3Location(uri="s3://models", endpoint_url=endpoint).endpoint_url == endpoint


def test_json_names():
    location = S3Location(uri="s3://models/a", **ACCESS)
    assert location.model_dump(mode="json") == {
        "uri": "s3://models/a",
        "endpointURL": "https://minio.storage.svc:9000",
        "region": "eu-central-1",
        "addressingStyle": "Path",
        "credentialsDirectory": "/var/run/credentials",
        "caBundleFile": "/var/run/ca/ca.crt",
    }


def test_an_access_gives_locations_and_a_location_those_below_it():
    location = S3Access(**ACCESS).at("s3://models/a/")
    assert location == S3Location(uri="s3://models/a/", **ACCESS)
    assert location.below("b/c/") == S3Location(uri="s3://models/a/b/c/", **ACCESS)
    assert S3Location(uri="file:///x").below("y").directory == Path("/x/y")
    with pytest.raises(ValidationError):
        location.below("../c")


@pytest.mark.parametrize(
    ("union", "data", "expected"),
    [
        (ModelSource, '{"type":"Path","path":"/mnt/base"}', PathSource(path="/mnt/base")),
        (
            ModelSource,
            '{"type":"HuggingFace","repository":"a/b","revision":"main","tokenFile":"/t"}',
            HubModelSource(repository="a/b", revision="main", token_file="/t"),
        ),
        (
            DatasetSource,
            '{"type":"HuggingFace","repository":"a/b","subset":"default","split":"train"}',
            HubDatasetSource(repository="a/b", subset="default", split="train"),
        ),
        (
            DatasetSource,
            '{"type":"S3","location":{"uri":"s3://data/x.jsonl"}}',
            S3Source(location=S3Location(uri="s3://data/x.jsonl")),
        ),
    ],
)
def test_sources_are_told_apart_by_type(union, data, expected):
    assert TypeAdapter(union).validate_json(data, by_name=False, by_alias=True) == expected


@pytest.mark.parametrize("data", ['{"path":"/mnt"}', '{"type":"NFS"}', '{"type":"S3","path":"/mnt"}'])
def test_other_sources_are_refused(data):
    with pytest.raises(ValidationError):
        TypeAdapter(ModelSource).validate_json(data)


@pytest.mark.parametrize("repository", ["", "/a", "a/b/c", "../a", "a b", "a/", "-a/b", "a/b\n"])
def test_repositories_are_one_or_two_names(repository):
    with pytest.raises(ValidationError):
        HubModelSource(repository=repository)
