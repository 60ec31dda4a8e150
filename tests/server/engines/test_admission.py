"""Waiting requests are let in by their order, within the engine's limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_server.engines.transformers.admission import AdmissionLimits, Candidate, admit

pytestmark = pytest.mark.unit

LIMITS = AdmissionLimits(max_batch_size=4, max_active_adapters=2, max_prefill_tokens=100)


def admitted(*waiting: tuple[int, str | None], running: int = 0, active: frozenset[str] = frozenset()) -> int:
    candidates = [Candidate(tokens, adapter) for tokens, adapter in waiting]
    return admit(candidates, running=running, active_adapters=active, limits=LIMITS)


@pytest.mark.parametrize(
    ("waiting", "running", "active", "expected"),
    [
        ([], 0, frozenset(), 0),
        ([(10, None)] * 6, 0, frozenset(), 4),
        ([(10, None)] * 6, 3, frozenset(), 1),
        ([(10, None)] * 6, 4, frozenset(), 0),
        ([(10, "a"), (10, "b"), (10, "a")], 0, frozenset(), 3),
        ([(10, "a"), (10, "b"), (10, "c")], 0, frozenset(), 2),
        ([(10, None), (10, "c")], 2, frozenset("ab"), 1),
        ([(10, "a"), (10, "b")], 2, frozenset("ab"), 2),
        ([(10, "c"), (10, "a")], 2, frozenset("ab"), 0),
        ([(500, None), (1, None)], 0, frozenset(), 1),
        ([(40, None), (60, None), (1, None)], 0, frozenset(), 1),
        ([(40, None), (50, None), (1, None)], 0, frozenset(), 2),
    ],
)
def test_limits(waiting: list, running: int, active: frozenset[str], expected: int) -> None:
    assert admitted(*waiting, running=running, active=active) == expected


@given(
    st.lists(st.tuples(st.integers(1, 200), st.sampled_from([None, "a", "b", "c"])), min_size=1, max_size=8),
    st.integers(0, 4),
    st.frozensets(st.sampled_from("abc"), max_size=2),
)
def test_what_is_let_in_keeps_the_limits_and_an_idle_engine_never_waits(
    waiting: list, running: int, active: frozenset[str]
) -> None:
    count = admitted(*waiting, running=running, active=active)
    chosen = waiting[:count]
    assert running + count <= LIMITS.max_batch_size
    assert count == 0 or len(active | {name for _, name in chosen if name}) <= LIMITS.max_active_adapters
    assert count <= 1 or max(tokens for tokens, _ in chosen) * count <= LIMITS.max_prefill_tokens
    assert admitted(*waiting) >= 1
