"""The interface of engines is free of what engines are made of, and this project's engine keeps it."""

import inspect
import subprocess
import sys

import pytest

from adapter_server.engines.engine import Engine, EngineSettings, GenerationStream
from adapter_server.engines.stream import AsyncStream
from adapter_server.engines.transformers import TransformersEngine

pytestmark = pytest.mark.integration


def test_the_gateway_side_imports_no_engine() -> None:
    script = (
        "import sys, adapter_server.engines.request_check, adapter_server.engines.stream\n"
        "print(sorted({'torch', 'transformers', 'safetensors', 'peft'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(("protocol", "kept_by"), [(Engine, TransformersEngine), (GenerationStream, AsyncStream)])
def test_every_member_is_there_with_the_same_parameters(protocol: type, kept_by: type) -> None:
    members = {name for name in vars(protocol) if not name.startswith("_")} | (
        {"__aiter__", "__anext__"} & vars(protocol).keys()
    )
    assert members
    for name in members:
        promised, kept = vars(protocol)[name], inspect.getattr_static(kept_by, name)
        assert isinstance(kept, property) == isinstance(promised, property), name
        if not isinstance(promised, property):
            assert inspect.signature(kept) == inspect.signature(promised), name


def test_defaults_hold_up_running_requests_little() -> None:
    fields = EngineSettings.__dataclass_fields__
    assert (fields["max_batch_size"].default, fields["max_prefill_tokens"].default) == (32, 512)
