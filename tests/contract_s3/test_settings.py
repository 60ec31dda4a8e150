import pytest

from adapter_contract.s3.settings import TransferSettings

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("connect_timeout_seconds", 0),
        ("read_timeout_seconds", -1),
        ("attempts", 0),
        ("concurrency", 0),
        ("files", 0),
        ("budget_seconds", -1),
        ("backoff_seconds", -0.1),
        ("longest_backoff_seconds", -1),
        ("part_bytes", (5 << 20) - 1),
    ],
)
def test_what_could_not_work_is_refused_by_name(field: str, value: float):
    with pytest.raises(ValueError, match=f"TransferSettings.{field} must"):
        TransferSettings(**{field: value})


def test_the_defaults_are_those_that_the_docs_name():
    settings = TransferSettings()

    assert (settings.connect_timeout_seconds, settings.read_timeout_seconds) == (30, 60)
    assert (settings.attempts, settings.budget_seconds) == (6, 120)
    assert (settings.files, settings.part_bytes) == (4, 8 << 20)
