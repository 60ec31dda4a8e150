"""The log: one JSON object per line, whatever is logged, warned of or raised."""

import io
import json
import logging
import os
import warnings

import pytest

from adapter_trainer.reporting.logs import LineStream, configure_logging

pytestmark = pytest.mark.unit


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch):
    """What is logged; the process's own logging comes back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging(stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_and_what(text: io.StringIO) -> None:
    logging.getLogger("adapter_trainer.x").info("read %d\nlines", 3, extra={"fields": {"stage": "dataset"}})
    (line,) = lines(text)
    assert line.pop("time", "").endswith("+00:00")
    assert line == {"level": "INFO", "logger": "adapter_trainer.x", "message": "read 3\nlines", "stage": "dataset"}


def test_an_exception_brings_its_traceback(text: io.StringIO) -> None:
    try:
        {}["missing"]
    except KeyError:
        logging.getLogger("x").exception("it failed")
    (line,) = lines(text)
    assert line["level"] == "ERROR"
    assert str(line["traceback"]).endswith("KeyError: 'missing'")


def test_warnings_become_lines(text: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("soon full", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    (line,) = lines(text)
    assert line["logger"] == "py.warnings"
    assert "soon full" in str(line["message"])


def test_what_libraries_tell_developers_is_left_out(text: io.StringIO) -> None:
    with warnings.catch_warnings():
        configure_logging(text)
        warnings.warn("soon gone", FutureWarning, stacklevel=1)
        warnings.warn("soon gone", DeprecationWarning, stacklevel=1)
    assert text.getvalue() == ""


def test_libraries_that_advertise_are_silent(text: io.StringIO) -> None:
    logging.getLogger("bitsandbytes.backends.cpu.ops").warning("Failed to load from kernels-community")
    logging.getLogger("bitsandbytes.backends.cpu.ops").error("broken")
    assert [line["message"] for line in lines(text)] == ["broken"]


def test_a_wrong_format_string_ends_nothing(text: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.getLogger().handlers[0]  # pytest's own ones, behind it, raise
    handler.handle(logging.makeLogRecord({"name": "x", "msg": "%d", "args": ("no number",)}))
    assert text.getvalue() == ""
    assert "Logging error" in capsys.readouterr().err


def test_nobody_reading_any_more_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    LineStream(stream).write_line("lost")
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_lines_are_whole() -> None:
    stream = io.StringIO()
    LineStream(stream).write_line("one")
    assert stream.getvalue() == "one\n"
