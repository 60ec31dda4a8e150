import json

import pytest

from adapter_contract import InvalidDocument, ServerConfig

pytestmark = pytest.mark.unit


def test_arguments_are_refused_for_another_engine(request):
    document = json.loads((request.path.parent / "golden" / "server_config.full.json").read_bytes())
    document["engine"]["type"] = "Transformers"
    with pytest.raises(InvalidDocument, match="arguments are for the engine VLLM"):
        ServerConfig.from_object(document)
