import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_trainer.training.packing import SMALLEST_TOKENS, pack

pytestmark = pytest.mark.unit

documents = st.lists(st.integers(2, 700), max_size=60)


@given(lengths=documents, budget=st.integers(0, 1200), pieces=st.integers(1, 8))
def test_every_document_stands_in_one_row_that_fits(lengths: list[int], budget: int, pieces: int) -> None:
    rows = pack(lengths, budget, pieces=pieces)
    assert sorted(document for row in rows for document in row) == list(range(len(lengths)))
    for row in rows:
        assert row == sorted(row)
        assert len(row) == 1 or sum(lengths[document] for document in row) <= budget


@given(lengths=st.lists(st.integers(2, 60), min_size=60, max_size=90), pieces=st.integers(1, 4))
def test_short_documents_fill_rows_evenly(lengths: list[int], pieces: int) -> None:
    rows = pack(lengths, 512, pieces=pieces)
    tokens = [sum(lengths[document] for document in row) for row in rows]
    assert max(tokens) - min(tokens) <= 60
    needed = -(-sum(lengths) // 512)
    # One row more where the budget is nearly used up.
    assert needed <= len(rows) <= -(-needed // pieces) * pieces + 1


def test_rows_come_in_multiples_of_what_is_computed_at_once() -> None:
    assert [len(pack([128] * count, 512, pieces=4)) for count in (1, 2, 4, 5, 16, 17)] == [1, 2, 4, 4, 4, 8]
    assert len(pack([SMALLEST_TOKENS // 2] * 3, 512, pieces=4)) == 1
    assert len(pack([128] * 8, 512, pieces=1)) == 2


def test_without_packing_each_document_has_a_row() -> None:
    assert pack([5, 9, 2], 0, pieces=4) == [[0], [1], [2]]
    assert pack([], 512, pieces=4) == []
