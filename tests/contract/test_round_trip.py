"""Every document that can be built is read back equal, and written again with the same bytes."""

import json
import typing
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from types import NoneType, UnionType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter_contract import (
    DOCUMENT_KINDS,
    AdapterEntry,
    AdapterFacts,
    AdapterManifest,
    AdapterReport,
    AdapterSet,
    AdapterStatus,
    AdapterVersion,
    DirectPreferenceOptimization,
    ExitCode,
    FileEntry,
    Finding,
    LoRA,
    MergeComponent,
    MergeDefinition,
    Part,
    PreflightReport,
    RunRecord,
    StoreIdentity,
    TrainerConfig,
    TrainerResult,
    locations,
    published,
    recipe,
    scalars,
    sha256_bytes,
    trainer_config,
)
from adapter_contract.artifact_files import ArtifactPath, FileEntries
from adapter_contract.digests import Digest
from adapter_contract.manifest import TrainingRecord
from adapter_contract.progress import Measurement
from adapter_contract.server_config import EngineConfig
from adapter_contract.trainer_config import Column, DatasetConfig, EvaluationConfig

pytestmark = pytest.mark.unit


def matching(pattern):
    return st.from_regex(pattern.removeprefix("^").removesuffix("$"), fullmatch=True)


line = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
digests = st.binary(max_size=3).map(sha256_bytes)
finite = st.floats(allow_nan=False, allow_infinity=False)
names = matching(r"[a-z0-9]([-a-z0-9.]{0,8}[a-z0-9])?")
modules = matching(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}")
paths = st.lists(
    st.text("abc.é😀 ", min_size=1, max_size=6).filter(lambda segment: segment.strip(".")), min_size=1, max_size=3
).map("/".join)
uris = st.builds("{}{}{}".format, st.sampled_from(["s3://bucket/", "file:///"]), paths, st.sampled_from(["", "/"]))
times = st.builds(
    lambda seconds, fraction, minutes: (
        datetime(1, 1, 3, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=fraction)
    ).astimezone(timezone(timedelta(minutes=minutes))),
    st.integers(0, 315_000_000_000),
    st.integers(0, 999_999),
    st.integers(-840, 840),
)

# By alias: what `Annotated` says in words, a strategy says in values.
SCALARS = [
    (Digest, digests),
    (scalars.Count, st.integers(0, 2**53 - 1)),
    (scalars.PositiveCount, st.integers(1, 2**53 - 1)),
    (scalars.DecimalString, matching(scalars.DECIMAL_PATTERN)),
    (scalars.Name, names),
    (scalars.UID, matching(scalars.UID_PATTERN)),
    (scalars.Reason, matching(r"[A-Z][A-Za-z0-9]{0,12}")),
    (scalars.Message, st.text(max_size=40)),
    (scalars.ShortText, line),
    (scalars.AbsolutePath, paths.map(lambda path: f"/{path}")),
    (scalars.Timestamp, times),
    (locations.StorageURI, uris),
    (locations.EndpointURL, st.sampled_from(["http://127.0.0.1:9000", "https://[::1]/s3/v1"])),
    (locations.HubRepository, st.sampled_from(["gpt2", "HuggingFaceTB/SmolLM2-135M-Instruct"])),
    (trainer_config.ModelName, matching(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,12}")),
    (recipe.ModuleName, modules),
    (ArtifactPath, paths.filter(lambda path: path != "manifest.json")),
    (FileEntries, st.deferred(lambda: files)),
    (Measurement, st.none() | finite | st.sampled_from([1e21, -0.0, 1e-7, 5e-324])),
    (
        published.Metrics,
        st.dictionaries(matching(r"[A-Z][A-Za-z0-9]{0,8}"), matching(scalars.DECIMAL_PATTERN), max_size=3),
    ),
]
TEXT_FIELDS = {
    "value": st.sampled_from(["a" * 40, "0" * 64]),
    "region": st.sampled_from(["eu-central-1", "auto"]),
    "restart_token": line,
    "source": line,
    "initial_text": line,
    "text": st.text(max_size=8),
    "name": names,
}


def strategy_for(annotation, field):
    for alias, strategy in SCALARS:
        if annotation == alias:
            return strategy
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return plain_strategy(annotation)
    if origin is typing.Annotated:
        return TEXT_FIELDS[field] if arguments[0] is str else strategy_for(arguments[0], field)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    inner = [strategy_for(argument, field) for argument in arguments if argument is not Ellipsis]
    # One element and more: a bound that this misses needs an entry in SPECIAL.
    several = {"min_size": 1, "max_size": 3}
    return {
        tuple: lambda: st.lists(*inner, **several).map(tuple),
        dict: lambda: st.dictionaries(*inner, **several),
        typing.Union: lambda: st.one_of(inner),
        UnionType: lambda: st.one_of(inner),
    }[origin]()


def plain_strategy(annotation):
    if issubclass(annotation, Part):
        return documents(annotation)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return {bool: st.booleans(), int: st.integers(0, 100), NoneType: st.none()}[annotation]


def documents(model, **fixed):
    """Values of a model: those of `SPECIAL` if it is there, else any combination of its fields' values."""
    if model in SPECIAL and not fixed:
        return SPECIAL[model]()
    hints = typing.get_type_hints(model, include_extras=True)
    drawn = {name: strategy_for(hints[name], name) for name in model.model_fields if name not in fixed}
    # Not st.builds: it takes the required fields' aliases for further arguments.
    return st.fixed_dictionaries({**drawn, **fixed}).map(lambda fields: model(**fields))


files = st.lists(
    st.deferred(lambda: documents(FileEntry)),
    min_size=1,
    max_size=3,
    unique_by=lambda entry: entry.path.split("/")[0],
).map(tuple)


def unique_by(attribute, elements, **bounds):
    return st.lists(elements, unique_by=lambda part: getattr(part, attribute), **bounds).map(tuple)


def results(code):
    done = code is ExitCode.DONE
    return documents(
        TrainerResult,
        exit_code=st.just(code),
        digest=digests if done else st.none(),
        uri=(st.none() | uris) if done else st.none(),
    )


def merges(**parts):
    return documents(
        MergeDefinition, components=unique_by("name", documents(MergeComponent), min_size=2, max_size=3), **parts
    )


def versions():
    merged = documents(MergeDefinition).map(lambda merge: AdapterVersion(digest=merge.digest, merge=merge))
    return documents(AdapterVersion, uri=uris, merge=st.none()) | merged


def entries():
    return (st.none() | versions()).flatmap(
        lambda version: documents(
            AdapterEntry,
            digest=st.just(version and version.digest),
            uri=st.just(version and version.uri),
            merge=st.just(version and version.merge),
        )
    )


def recipes(model):
    """Preference optimization goes with LoRA alone, PreferenceAccuracy with preference optimization alone."""
    preferring = {"method": documents(LoRA), "objective": documents(DirectPreferenceOptimization)}
    supervised = {"objective": documents(recipe.SupervisedFineTuning)}
    if model is TrainerConfig:
        measured = st.lists(st.sampled_from(["Loss", "ExactMatch"]), min_size=1, max_size=2).map(tuple)
        supervised["evaluation"] = st.none() | documents(EvaluationConfig, metrics=measured)
    return documents(model, **preferring) | documents(model, **supervised)


def manifests():
    trained = documents(AdapterManifest, origin=st.just("Trained"), record=documents(TrainingRecord))
    imported = documents(AdapterManifest, origin=st.just("Imported"), record=st.none())
    return trained | imported


def run_records():
    return results(ExitCode.DONE).flatmap(
        lambda result: documents(
            RunRecord,
            result=st.just(result),
            run=documents(trainer_config.RunReference, number=st.just(result.run)),
        )
    )


SPECIAL = {
    StoreIdentity: lambda: st.sampled_from(
        [StoreIdentity(type="HubCommit", value="a" * 40), StoreIdentity(type="ImageDigest", value=sha256_bytes(b""))]
    ),
    DatasetConfig: lambda: documents(DatasetConfig, columns=unique_by("name", documents(Column), max_size=3)),
    TrainerConfig: lambda: recipes(TrainerConfig),
    TrainingRecord: lambda: recipes(TrainingRecord),
    TrainerResult: lambda: st.sampled_from(ExitCode).flatmap(results),
    PreflightReport: lambda: documents(
        PreflightReport, errors=st.lists(documents(Finding), min_size=1, max_size=2).map(tuple)
    ),
    RunRecord: run_records,
    AdapterFacts: lambda: (
        documents(AdapterFacts, method=st.just("LoRA"), rank=st.integers(1, 512))
        | documents(AdapterFacts, method=st.sampled_from(["IA3", "Bottleneck"]), rank=st.none())
    ),
    AdapterManifest: manifests,
    AdapterVersion: versions,
    MergeDefinition: lambda: (
        merges(method=st.just("Linear"), density=st.none())
        | merges(method=st.sampled_from(["TIES", "DARE"]), density=st.sampled_from(["1", "0.5", "0.50"]))
    ),
    AdapterEntry: entries,
    AdapterSet: lambda: documents(
        AdapterSet, adapters=unique_by("name", entries(), max_size=3), base_model_name=st.just("Base")
    ),
    EngineConfig: lambda: documents(
        EngineConfig, type=st.just("VLLM"), arguments=st.lists(st.just("--swap-space=0"), max_size=2).map(tuple)
    ),
    AdapterReport: lambda: documents(AdapterReport, adapters=unique_by("name", documents(AdapterStatus), max_size=3)),
}


def nulls(node):
    if isinstance(node, dict | list):
        return sum(nulls(inner) for inner in (node.values() if isinstance(node, dict) else node))
    return int(node is None)


@settings(max_examples=40)
@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
@given(st.data())
def test_what_is_written_is_read_back_equal_and_written_alike(kind, data):
    model = DOCUMENT_KINDS[kind]
    document = data.draw(documents(model))
    written = document.to_json()
    read = model.from_json(written)
    assert read == document
    assert read.to_json() == written
    assert nulls(json.loads(written)) == 0
