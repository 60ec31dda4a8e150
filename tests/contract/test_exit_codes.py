"""The exit codes are API: their numbers, classes and policies, and how the end of a pod is judged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import ExitCode, FailureClass, RetryPolicy, Verdict, classify

pytestmark = pytest.mark.unit

TABLE = {
    0: (ExitCode.DONE, None, RetryPolicy.NEVER),
    64: (ExitCode.BAD_CONFIGURATION, FailureClass.CONFIGURATION, RetryPolicy.NEVER),
    65: (ExitCode.BAD_DATA, FailureClass.DATA, RetryPolicy.NEVER),
    66: (ExitCode.INPUT_MISSING, FailureClass.INPUT_MISSING, RetryPolicy.BACKOFF_UNTIL_DEADLINE),
    69: (ExitCode.STORAGE_UNAVAILABLE, FailureClass.STORAGE_UNAVAILABLE, RetryPolicy.BACKOFF_UNTIL_DEADLINE),
    70: (ExitCode.INTERNAL, FailureClass.INTERNAL, RetryPolicy.COUNTED_RETRY),
    75: (ExitCode.INTERRUPTED, FailureClass.INTERRUPTED, RetryPolicy.INTERRUPTION),
    76: (ExitCode.OUT_OF_MEMORY, FailureClass.OUT_OF_MEMORY, RetryPolicy.COUNTED_RETRY),
    77: (ExitCode.PERMISSION, FailureClass.PERMISSION, RetryPolicy.BACKOFF_UNTIL_DEADLINE),
    78: (ExitCode.DIVERGED, FailureClass.DIVERGED, RetryPolicy.NEVER),
}


def test_the_table_is_complete():
    assert {int(code) for code in ExitCode} == TABLE.keys()


@pytest.mark.parametrize("number", TABLE)
def test_number_class_and_policy(number):
    code, failure_class, policy = TABLE[number]
    assert ExitCode(number) is code
    assert code.failure_class is failure_class
    assert code.retry is policy


@pytest.mark.parametrize("number", TABLE)
def test_the_trainers_own_codes_stand(number):
    reason = "Error" if number else "Completed"
    assert classify(number, reason, disrupted=False) == Verdict(ExitCode(number))


@pytest.mark.parametrize(
    ("exit_code", "reason", "disrupted", "expected"),
    [
        # A disruption turns every end that the trainer did not decide itself into an interruption ...
        (137, "Error", True, ExitCode.INTERRUPTED),
        (143, "Error", True, ExitCode.INTERRUPTED),
        (None, None, True, ExitCode.INTERRUPTED),
        (None, "Evicted", True, ExitCode.INTERRUPTED),
        (137, "Evicted", True, ExitCode.INTERRUPTED),
        (137, "OOMKilled", True, ExitCode.INTERRUPTED),
        (1, "Error", True, ExitCode.INTERRUPTED),
        (66, "Error", True, ExitCode.INTERRUPTED),
        (69, "Error", True, ExitCode.INTERRUPTED),
        (70, "Error", True, ExitCode.INTERRUPTED),
        (75, "Error", True, ExitCode.INTERRUPTED),
        (77, "Error", True, ExitCode.INTERRUPTED),
        # ... and leaves what it did decide.
        (0, "Completed", True, ExitCode.DONE),
        (64, "Error", True, ExitCode.BAD_CONFIGURATION),
        (65, "Error", True, ExitCode.BAD_DATA),
        (76, "Error", True, ExitCode.OUT_OF_MEMORY),
        (78, "Error", True, ExitCode.DIVERGED),
        # The pod's own use of memory or disk.
        (137, "OOMKilled", False, ExitCode.OUT_OF_MEMORY),
        (70, "OOMKilled", False, ExitCode.OUT_OF_MEMORY),
        (1, "OOMKilled", False, ExitCode.OUT_OF_MEMORY),
        (None, "Evicted", False, ExitCode.OUT_OF_MEMORY),
        (143, "Evicted", False, ExitCode.OUT_OF_MEMORY),
        (75, "Evicted", False, ExitCode.OUT_OF_MEMORY),
        (0, "OOMKilled", False, ExitCode.DONE),
        # Everything else.
        (1, "Error", False, ExitCode.INTERNAL),
        (2, "Error", False, ExitCode.INTERNAL),
        (126, "ContainerCannotRun", False, ExitCode.INTERNAL),
        (128, "StartError", False, ExitCode.INTERNAL),
        (134, "Error", False, ExitCode.INTERNAL),
        (139, "Error", False, ExitCode.INTERNAL),
        (255, "Unknown", False, ExitCode.INTERNAL),
        (-1, None, False, ExitCode.INTERNAL),
    ],
)
def test_how_the_end_of_a_pod_is_judged(exit_code, reason, disrupted, expected):
    assert classify(exit_code, reason, disrupted=disrupted) == Verdict(expected)


@pytest.mark.parametrize(("exit_code", "reason"), [(137, "Error"), (143, "Error"), (None, None)])
def test_a_kill_with_no_cause_is_forgiven_once(exit_code, reason):
    first = classify(exit_code, reason, disrupted=False)
    assert first == Verdict(ExitCode.INTERRUPTED, unexplained=True)
    again = classify(exit_code, reason, disrupted=False, killed_before=first.unexplained)
    assert again == Verdict(ExitCode.INTERNAL, unexplained=True)


@given(
    st.none() | st.integers(-256, 512),
    st.none() | st.sampled_from(["Error", "Completed", "OOMKilled", "Evicted", "", "Anything"]),
    st.booleans(),
    st.booleans(),
)
def test_every_end_has_a_verdict_and_only_zero_is_success(exit_code, reason, disrupted, killed_before):
    verdict = classify(exit_code, reason, disrupted=disrupted, killed_before=killed_before)
    assert (verdict.code is ExitCode.DONE) == (exit_code == 0)
    if disrupted:
        assert verdict.code.retry in {RetryPolicy.INTERRUPTION, RetryPolicy.NEVER, RetryPolicy.COUNTED_RETRY}
