"""The file format of bottleneck adapters."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import (
    BottleneckConfig,
    DocumentTooLarge,
    InvalidDocument,
    NotJSON,
    bottleneck_modules,
    bottleneck_tensor,
    bottleneck_tensors,
    find_bottleneck_problems,
)

pytestmark = pytest.mark.unit

CONFIG = {
    "peft_type": "BOTTLENECK",
    "format_version": 1,
    "architecture": "Pfeiffer",
    "size": 4,
    "hidden_size": 16,
    "non_linearity": "relu",
    "modules": ["model.layers.0.mlp", "model.layers.1.mlp"],
    "task_type": "CAUSAL_LM",
    "inference_mode": True,
    "base_model_name_or_path": "org/base",
}


def read(document):
    return BottleneckConfig.from_json(json.dumps(document).encode())


def without(name):
    return {key: value for key, value in CONFIG.items() if key != name}


def test_a_file_is_read_and_written_back():
    config = read(CONFIG)
    assert (config.architecture, config.size, config.modules) == ("Pfeiffer", 4, tuple(CONFIG["modules"]))
    assert json.loads(config.model_dump_json()) == CONFIG


@pytest.mark.parametrize("name", sorted(CONFIG))
def test_nothing_may_be_missing(name):
    with pytest.raises(InvalidDocument) as raised:
        read(without(name))
    assert [problem.field for problem in raised.value.problems] == [name]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"peft_type": "LORA"}, "peft_type"),
        ({"format_version": 2}, "format_version"),
        ({"architecture": "Compacter"}, "architecture"),
        ({"size": 0}, "size"),
        ({"size": "4"}, "size"),
        ({"hidden_size": 16.5}, "hidden_size"),
        ({"non_linearity": "swish"}, "non_linearity"),
        ({"modules": []}, "modules"),
        ({"modules": ["model.layers.0.mlp\n"]}, "modules.0"),
        ({"task_type": "SEQ_CLS"}, "task_type"),
        ({"inference_mode": False}, "inference_mode"),
        ({"base_model_name_or_path": "../base"}, "base_model_name_or_path"),
        ({"scaling": 1}, "scaling"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(changes, field):
    with pytest.raises(InvalidDocument) as raised:
        read(CONFIG | changes)
    assert [problem.field for problem in raised.value.problems] == [field]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modules": ["model.layers.0.mlp", "model.norm"]}, "modules: model.norm is no layers.<number>"),
        ({"modules": ["model.layers.0.mlp.up_proj"]}, "modules: model.layers.0.mlp.up_proj is no layers.<number>"),
        ({"modules": ["model.layers.0.mlp"] * 2}, "modules: model.layers.0.mlp stands twice"),
        ({"modules": ["model.layers.0.self_attn"]}, "modules: architecture Pfeiffer adapts no self_attn"),
        ({"architecture": "Houlsby"}, "Houlsby adapts self_attn and mlp, but model.layers.0 has one only"),
    ],
)
def test_modules_must_be_those_of_the_architecture(changes, message):
    with pytest.raises(InvalidDocument) as raised:
        read(CONFIG | changes)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"[]", NotJSON),
        (b'{"size": 1, "size": 2}', NotJSON),
        (b"\xff", NotJSON),
        (b" " * (1 << 20) + b"{}", DocumentTooLarge),
    ],
)
def test_what_is_no_document_at_all(data, error):
    with pytest.raises(error):
        BottleneckConfig.from_json(data)


NAMES = [
    "",
    "model",
    "model.layers",
    "model.layers.0",
    "model.layers.0.self_attn",
    "model.layers.0.self_attn.o_proj",
    "model.layers.0.mlp",
    "model.layers.0.mlp.down_proj",
    "model.layers.10.mlp",
    "model.layers.10.self_attn",
    "model.vision.blocks.0.mlp",
    "lm_head",
]


def test_modules_are_found_by_their_names():
    assert bottleneck_modules(NAMES, "Pfeiffer") == ("model.layers.0.mlp", "model.layers.10.mlp")
    assert bottleneck_modules(NAMES, "Houlsby") == (
        "model.layers.0.self_attn",
        "model.layers.0.mlp",
        "model.layers.10.mlp",
        "model.layers.10.self_attn",
    )
    assert bottleneck_modules(["transformer.h.0.attn", "transformer.h.0.mlp"], "Houlsby") == ()


def test_the_tensors_of_a_module():
    assert bottleneck_tensors("layers.3.mlp", size=4, hidden_size=16) == {
        "layers.3.mlp.bottleneck.down.weight": (4, 16),
        "layers.3.mlp.bottleneck.down.bias": (4,),
        "layers.3.mlp.bottleneck.up.weight": (16, 4),
        "layers.3.mlp.bottleneck.up.bias": (16,),
    }


def shapes(config):
    found = {}
    for module in config.modules:
        found |= bottleneck_tensors(module, size=config.size, hidden_size=config.hidden_size)
    return found


@given(
    layers=st.sets(st.integers(0, 200), min_size=1, max_size=8),
    architecture=st.sampled_from(["Pfeiffer", "Houlsby"]),
    size=st.integers(1, 64),
    hidden=st.integers(1, 64),
    data=st.data(),
)
def test_exactly_the_tensors_of_the_settings_are_right(layers, architecture, size, hidden, data):
    names = [f"model.layers.{layer}.{part}" for layer in layers for part in ("self_attn", "mlp")]
    changes = {
        "architecture": architecture,
        "size": size,
        "hidden_size": hidden,
        "modules": list(bottleneck_modules(names, architecture)),
    }
    config = read(CONFIG | changes)
    right = shapes(config)
    assert find_bottleneck_problems(config, right) == ()
    name = data.draw(st.sampled_from(sorted(right)))
    lacking = {key: shape for key, shape in right.items() if key != name}
    assert find_bottleneck_problems(config, lacking) == (f"tensors are missing: {name}",)
    assert len(find_bottleneck_problems(config, lacking | {f"base_model.{name}": right[name]})) == 2
    wrong = (*right[name], 1)
    assert find_bottleneck_problems(config, right | {name: wrong}) == (
        f"{name} has the shape {list(wrong)}, not {list(right[name])}",
    )


def test_many_tensors_are_counted():
    config = read(CONFIG)
    (problem,) = find_bottleneck_problems(config, {})
    assert problem.endswith(" and 5 more")
    assert bottleneck_tensor("model.layers.0.mlp", "down.bias") in problem
