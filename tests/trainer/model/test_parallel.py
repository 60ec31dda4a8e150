import threading
from collections.abc import Iterator

import pytest
import torch

from adapter_trainer.model.parallel import PIECES, Workers, workers

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(("threads", "count", "each"), [(1, 1, 1), (3, 3, 1), (8, PIECES, 2)])
def test_processors_are_shared_out_among_pieces(threads: int, count: int, each: int) -> None:
    torch.set_num_threads(threads)
    with workers(torch.device("cpu")) as side_by_side:
        assert side_by_side.count == count
        assert torch.get_num_threads() == each
        assert set(side_by_side.map(lambda _: torch.get_num_threads(), range(8))) == {each}
    assert torch.get_num_threads() == threads


def test_pieces_run_side_by_side_and_results_keep_their_order() -> None:
    torch.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=60)

    def work(item: int) -> int:
        meeting.wait()
        return item * 10

    with workers(torch.device("cpu")) as side_by_side:
        assert list(side_by_side.map(work, range(6))) == [0, 10, 20, 30, 40, 50]


def test_items_are_asked_for_as_they_are_needed() -> None:
    torch.set_num_threads(2)
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            asked.append(item)
            yield item

    with workers(torch.device("cpu")) as side_by_side:
        assert next(side_by_side.map(lambda item: item, items())) == 0
    assert asked == [0, 1, 2]


def test_an_error_of_one_piece_is_that_of_all() -> None:
    torch.set_num_threads(2)
    with workers(torch.device("cpu")) as side_by_side, pytest.raises(ZeroDivisionError):
        list(side_by_side.map(lambda item: 1 // item, [1, 0, 1, 1]))


def test_a_gpu_gets_its_work_from_one_thread() -> None:
    with workers(torch.device("cuda")) as side_by_side:
        assert side_by_side == Workers(None, 1)
        assert (
            list(side_by_side.map(lambda _: threading.current_thread(), range(2))) == [threading.current_thread()] * 2
        )
