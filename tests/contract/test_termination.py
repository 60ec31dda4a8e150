"""Termination messages: never more than 4,096 bytes, never without what decides."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapter_contract import (
    MAX_TERMINATION_BYTES,
    AdapterSummary,
    CheckpointReference,
    ExitCode,
    Finding,
    InvalidDocument,
    Outcome,
    PreflightReport,
    PublishedAdapter,
    TrainerResult,
    Usage,
    sha256_bytes,
)
from adapter_contract.scalars import MAX_SAFE_INTEGER
from adapter_contract.termination import DoesNotFitError, cut, fit
from adapter_contract.trainer_result import DROPPED_IN_ORDER

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
DIGEST = sha256_bytes(b"adapter")
OTHER = sha256_bytes(b"other")
LONG_URI = "s3://bucket/" + "é" * 2030
MANY_METRICS = {f"M{index}{'x' * 60}": "-" + "9" * 24 + "." + "9" * 24 + "e-99" for index in range(24)}

HUGE = TrainerResult(
    run=MAX_SAFE_INTEGER,
    attempt=MAX_SAFE_INTEGER,
    exit_code=ExitCode.DONE,
    message='"\\' * 4000,
    digest=DIGEST,
    uri=LONG_URI,
    metrics=MANY_METRICS,
    evaluation_digest=OTHER,
    base_digest=OTHER,
    dataset_digest=OTHER,
    parent_digest=OTHER,
    input_digest=OTHER,
    summary=AdapterSummary(method="Bottleneck", trainable_parameters=MAX_SAFE_INTEGER, size_bytes=MAX_SAFE_INTEGER),
    resumed_from_step=MAX_SAFE_INTEGER,
    last_saved_step=MAX_SAFE_INTEGER,
    checkpoint=CheckpointReference(step=MAX_SAFE_INTEGER, digest=OTHER, time=datetime(2026, 11, 22, tzinfo=UTC)),
    usage=Usage(seconds=MAX_SAFE_INTEGER, gpu_seconds=1, peak_memory_bytes=1, trained_tokens=1),
    reused=True,
)

texts = st.text(max_size=300) | st.builds(
    lambda piece, times: piece * times,
    st.text(st.characters() | st.sampled_from('"\\\n\x00\x1b\ud800😀👩‍👩‍👧é€'), min_size=1, max_size=8),
    st.integers(1, 3000),
)
digests = st.none() | st.just(OTHER)
counts = st.none() | st.integers(0, MAX_SAFE_INTEGER)


@st.composite
def results(draw):
    code = draw(st.sampled_from(ExitCode))
    done = code is ExitCode.DONE
    return TrainerResult(
        run=draw(st.integers(1, MAX_SAFE_INTEGER)),
        attempt=draw(st.integers(1, MAX_SAFE_INTEGER)),
        exit_code=code,
        message=draw(st.none() | texts),
        digest=DIGEST if done else None,
        uri=draw(st.sampled_from([None, "s3://bucket/x", LONG_URI])) if done else None,
        metrics=draw(st.sampled_from([{}, {"Loss": "1.5"}, MANY_METRICS])),
        evaluation_digest=draw(digests),
        base_digest=draw(digests),
        dataset_digest=draw(digests),
        parent_digest=draw(digests),
        input_digest=draw(digests),
        resumed_from_step=draw(counts),
        last_saved_step=draw(counts),
        usage=draw(st.none() | st.builds(Usage, seconds=st.integers(0, 9))),
        reused=draw(st.booleans()),
    )


@settings(deadline=None, max_examples=60)
@given(results())
def test_a_result_always_fits_and_keeps_what_decides(result):
    message = result.to_termination_message()
    assert len(message) <= MAX_TERMINATION_BYTES
    read = TrainerResult.from_json(message)
    for name in ("run", "attempt", "exit_code", "digest", "resumed_from_step", "last_saved_step", "reused"):
        assert getattr(read, name) == getattr(result, name)
    assert json.loads(message)["outcome"] == result.outcome
    whole = result.to_json()
    if len(whole) <= MAX_TERMINATION_BYTES:
        assert message == whole
    elif result.message is not None and read.message != result.message:
        kept, _, note = (read.message or "").rpartition(" [cut; ")
        assert result.message.startswith(kept)
        assert note == f"{len(result.message)} characters in all]"


def test_the_limit_is_the_kubelets():
    assert MAX_TERMINATION_BYTES == 4096


def test_the_order_puts_what_the_operator_needs_most_last():
    assert DROPPED_IN_ORDER == (
        "checkpoint",
        "usage",
        "parent_digest",
        "dataset_digest",
        "base_digest",
        "uri",
        "input_digest",
        "summary",
        "evaluation_digest",
        "metrics",
    )


def test_200_characters_of_the_message_outlive_the_first_part_to_go():
    """The URI grows until the message would fall below 200 characters; then the checkpoint goes instead."""
    some = dict(list(MANY_METRICS.items())[:8])
    kept_with, kept_without = [], []
    for size in range(0, 2000, 20):
        uri = f"s3://bucket/{'u' * size}"
        form = HUGE.model_copy(update={"message": "m" * 900, "uri": uri, "metrics": some})
        read = TrainerResult.from_json(form.to_termination_message())
        assert read.message is not None
        kept = len(read.message.partition(" [cut")[0])
        (kept_with if read.checkpoint else kept_without).append(kept)
    assert max(kept_with) == 900
    assert 200 <= min(kept_with) < 240
    assert min(kept_without) >= 200


def test_parts_are_dropped_in_the_documented_order():
    """A part may be missing only if all the parts before it are."""
    for filler in range(0, 6000, 40):
        form = HUGE.model_copy(update={"uri": "s3://b" + "b" * 10 + "/" + "u" * (filler % 2000)})
        form = form.model_copy(update={"metrics": dict(list(MANY_METRICS.items())[: filler // 240])})
        read = TrainerResult.from_json(form.to_termination_message())
        dropped = [getattr(read, name) != getattr(form, name) for name in DROPPED_IN_ORDER]
        assert dropped == sorted(dropped, reverse=True)


def test_the_message_is_cut_as_little_as_possible_before_anything_is_dropped():
    result = HUGE.model_copy(update={"message": "é" * 5000, "uri": "s3://bucket/x", "metrics": {"Loss": "1"}})
    message = result.to_termination_message()
    assert MAX_TERMINATION_BYTES - 2 < len(message) <= MAX_TERMINATION_BYTES
    read = TrainerResult.from_json(message)
    assert read.usage == result.usage
    assert read.message is not None
    assert read.message.endswith("é [cut; 5000 characters in all]")


def test_the_largest_result_fits():
    read = TrainerResult.from_json(HUGE.to_termination_message())
    assert read.digest == DIGEST
    assert read.message is not None
    assert read.message.endswith("[cut; 8000 characters in all]")


def test_control_characters_and_lone_surrogates_never_lose_a_message():
    result = TrainerResult(run=1, attempt=1, exit_code=ExitCode.INTERNAL, message="a\nb\x00c\ud800d\x1b[31m")
    assert result.message == "a b c?d [31m"
    assert TrainerResult.from_json(result.to_termination_message()) == result


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(ExitCode.DONE, Outcome.SUCCEEDED), (ExitCode.INTERRUPTED, Outcome.INTERRUPTED)]
    + [(code, Outcome.FAILED) for code in ExitCode if code not in {ExitCode.DONE, ExitCode.INTERRUPTED}],
)
def test_outcome_and_class_follow_from_the_exit_code(code, outcome):
    result = TrainerResult(run=1, attempt=1, exit_code=code, digest=DIGEST if code is ExitCode.DONE else None)
    written = json.loads(result.to_json())
    assert written["outcome"] == outcome
    assert written["exitCode"] == code
    assert written.get("class") == code.failure_class


def test_success_and_digest_go_together():
    with pytest.raises(ValidationError, match="digest is required with exit code 0"):
        TrainerResult(run=1, attempt=1, exit_code=ExitCode.DONE)
    with pytest.raises(ValidationError, match="has no place with another"):
        TrainerResult(run=1, attempt=1, exit_code=ExitCode.DIVERGED, digest=DIGEST)
    with pytest.raises(ValidationError, match="uri has no place"):
        TrainerResult(run=1, attempt=1, exit_code=ExitCode.DIVERGED, uri="s3://bucket/x")


def test_an_exit_code_outside_the_table_is_no_result():
    with pytest.raises(InvalidDocument, match="exitCode"):
        TrainerResult.from_json('{"kind":"TrainerResult","schemaVersion":1,"run":1,"attempt":1,"exitCode":1}')


findings = st.builds(
    Finding,
    code=st.sampled_from(["FewExamples", "C" + "x" * 62]),
    message=texts,
    count=counts,
)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(findings, max_size=30),
    st.lists(findings, max_size=30),
    st.sampled_from([None, PublishedAdapter(digest=DIGEST, uri=LONG_URI, metrics=MANY_METRICS)]),
)
def test_a_preflight_report_always_fits_and_keeps_counts_and_digests(errors, warnings, reused):
    report = PreflightReport(
        run=1,
        exit_code=ExitCode.BAD_DATA if errors else ExitCode.DONE,
        errors=tuple(errors),
        warnings=tuple(warnings),
        examples=MAX_SAFE_INTEGER,
        evaluation_examples=MAX_SAFE_INTEGER,
        tokens=MAX_SAFE_INTEGER,
        truncated_examples=MAX_SAFE_INTEGER,
        examples_without_label=MAX_SAFE_INTEGER,
        estimated_memory_bytes=MAX_SAFE_INTEGER,
        dataset_digest=OTHER,
        evaluation_digest=OTHER,
        base_digest=OTHER,
        parent_digest=OTHER,
        input_digest=OTHER,
        reused=reused,
    )
    message = report.to_termination_message()
    assert len(message) <= MAX_TERMINATION_BYTES
    read = PreflightReport.from_json(message)
    assert len(read.errors) + len(read.warnings) + read.omitted_findings == len(errors) + len(warnings)
    assert [finding.code for finding in read.errors] == [finding.code for finding in errors[: len(read.errors)]]
    assert bool(read.errors) == bool(errors)
    blank = {"errors": (), "warnings": (), "omitted_findings": 0, "reused": None, "exit_code": ExitCode.DONE}
    assert read.model_copy(update=blank) == report.model_copy(update=blank)
    assert (read.reused and read.reused.digest) == (reused and reused.digest)
    if read.reused != reused or len(read.errors) < len(errors):
        assert not read.warnings


def test_a_failed_preflight_names_an_error():
    with pytest.raises(ValidationError, match="needs at least one entry in errors"):
        PreflightReport(run=1, exit_code=ExitCode.BAD_DATA)


def test_in_mode_warn_errors_do_not_fail():
    finding = Finding(code="DatasetColumnMissing", message="column answer is missing")
    report = PreflightReport(run=1, exit_code=ExitCode.DONE, errors=(finding,))
    assert PreflightReport.from_json(report.to_termination_message()) == report


def test_cutting_counts_characters():
    assert cut("👩‍👩‍👧", 5) == "👩‍👩‍👧"
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "abc [cut; 4 characters in all]"


def test_a_document_that_cannot_be_made_to_fit_says_so():
    with pytest.raises(DoesNotFitError):
        fit([HUGE], lambda _: [], lambda document, _: document)
    with pytest.raises(DoesNotFitError):
        fit([], lambda _: [], lambda document, _: document)
