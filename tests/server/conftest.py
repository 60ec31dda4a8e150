"""The tiny base model and adapters that all tests of running servers use."""

import pytest

from adapter_testing.server_lab import Things, build_things


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory) -> Things:
    import torch  # noqa: PLC0415 - slow to import

    torch.set_num_threads(1)
    return build_things(tmp_path_factory.mktemp("things"))
