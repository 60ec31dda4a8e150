"""SIGTERM: at once, or when it is convenient."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from adapter_trainer.stopping import Stopped, StopRequest

pytestmark = pytest.mark.unit


@pytest.fixture
def stop() -> Iterator[StopRequest]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    request = StopRequest()
    request.install()
    yield request
    for number, handler in before.items():
        signal.signal(number, handler)


def test_nobody_asked(stop: StopRequest) -> None:
    stop.check()
    assert not stop.requested


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_where_it_is(stop: StopRequest, number: signal.Signals) -> None:
    with pytest.raises(Stopped, match=f"^stopped by {number.name}; nothing was saved"):
        os.kill(os.getpid(), number)
    assert stop.requested


def test_a_library_that_catches_every_exception_does_not_catch_it(stop: StopRequest) -> None:
    with pytest.raises(Stopped), suppress(Exception):
        os.kill(os.getpid(), signal.SIGTERM)


def test_while_deferred_it_is_only_remembered(stop: StopRequest) -> None:
    with stop.deferred():
        with stop.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
    with pytest.raises(Stopped, match="SIGTERM"):
        stop.check()


def test_a_second_signal_disturbs_no_ending(stop: StopRequest) -> None:
    with pytest.raises(Stopped):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
