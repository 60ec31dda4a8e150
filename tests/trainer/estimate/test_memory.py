"""The estimate as a whole: how it changes with what the configuration asks for."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_contract import TrainerConfig
from adapter_testing.learning_lab import HYPERPARAMETERS, METHOD, PREFERENCE, learning_config
from adapter_trainer.architecture.shape import LinearModule, ModelShape
from adapter_trainer.estimate.device import GPU, Device
from adapter_trainer.estimate.memory import MemoryEstimate, estimate_memory
from adapter_trainer.estimate.weights import resident_weight_bytes
from adapter_trainer.estimate.work import training_work

pytestmark = pytest.mark.unit

BILLION = 10**9
DEVICES = st.sampled_from([GPU, Device("CPU"), Device("CPU", 4)])


def llama(layers: int = 32, width: int = 4096, vocabulary: int = 32000) -> ModelShape:
    """Return Llama 2 7B, or one of its kind."""
    inner = width * 43 // 16
    linear = []
    for number in range(layers):
        block = f"model.layers.{number}"
        linear += [LinearModule(f"{block}.self_attn.{part}_proj", width, width) for part in "qkvo"]
        linear += [LinearModule(f"{block}.mlp.{part}_proj", inner, width) for part in ("gate", "up")]
        linear.append(LinearModule(f"{block}.mlp.down_proj", width, inner))
    parts = ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm")
    parameters = sum(one.out_features * one.in_features for one in linear) + 2 * vocabulary * width
    return ModelShape(
        family="llama",
        layers=layers,
        hidden_size=width,
        intermediate_size=inner,
        attention_heads=32,
        key_value_heads=32,
        head_dim=width // 32,
        vocabulary_size=vocabulary,
        tied_embeddings=False,
        dtype="BF16",
        parameters=parameters,
        weight_bytes=2 * parameters,
        linear=tuple(linear),
        output_head=LinearModule("lm_head", vocabulary, width),
        embeddings=("model.embed_tokens",),
        others=frozenset(f"model.layers.{number}.{part}" for number in range(layers) for part in parts),
    )


def configured(quantization: str = "NF4", **changes: Any) -> TrainerConfig:
    held = {"type": quantization, "computeType": "BFloat16", "doubleQuantization": "Enabled"}
    document = json.loads(learning_config(quantization=held).to_json())
    return TrainerConfig.from_object(document | changes)


def estimated(config: TrainerConfig, lengths: list[int], device: Device = GPU) -> MemoryEstimate:
    return estimate_memory(llama(4, 512), config, lengths, device=device)


@pytest.mark.parametrize(
    ("quantization", "double", "expected"),
    [
        ("NF4", "Enabled", 3.34),  # 6.48 billion weights of 4.127 bits
        ("NF4", "Disabled", 3.64),
        ("Int8", "Disabled", 6.48),
        ("None", "Disabled", 12.95),
    ],
)
def test_weights_of_a_7b_on_a_gpu(quantization: str, double: str, expected: float) -> None:
    held = {"type": quantization, "computeType": "BFloat16", "doubleQuantization": double}
    config = configured(quantization)
    config = TrainerConfig.from_object(json.loads(config.to_json()) | {"quantization": held})
    embeddings_and_head = 2 * 2 * 32000 * 4096
    found = resident_weight_bytes(llama(), config.quantization, GPU) - embeddings_and_head
    assert found / BILLION == pytest.approx(expected, rel=0.01)


@given(lengths=st.lists(st.integers(2, 3000), min_size=1, max_size=12), device=DEVICES)
def test_the_coarser_the_quantization_the_less_it_takes(lengths: list[int], device: Device) -> None:
    nf4, int8, plain = (estimated(configured(kind), lengths, device).total_bytes for kind in ("NF4", "Int8", "None"))
    if device.kind == "GPU":
        assert nf4 < int8 < plain
    else:  # which holds quantized values in the compute type, beside the file
        assert nf4 == int8 > plain


@given(lengths=st.lists(st.integers(2, 3000), min_size=1, max_size=12), rank=st.integers(1, 64), device=DEVICES)
def test_it_grows_with_the_rank(lengths: list[int], rank: int, device: Device) -> None:
    smaller, larger = (
        estimated(configured(method=METHOD | {"rank": size}), lengths, device) for size in (rank, rank + 1)
    )
    assert smaller.total_bytes < larger.total_bytes
    assert smaller.least_bytes < larger.least_bytes


@given(lengths=st.lists(st.integers(2, 2000), min_size=1, max_size=4), longer=st.integers(1, 3000), device=DEVICES)
def test_it_grows_with_the_longest_example(lengths: list[int], longer: int, device: Device) -> None:
    config = configured(hyperparameters=HYPERPARAMETERS | {"packing": "Disabled"})
    alike = [max(lengths)] * len(lengths)
    shorter = estimated(config, alike, device)
    more = estimated(config, [length + longer for length in alike], device)
    assert shorter.total_bytes < more.total_bytes
    assert shorter.least_bytes <= more.least_bytes


@given(lengths=st.lists(st.integers(2, 3000), min_size=1, max_size=12), device=DEVICES)
def test_the_least_is_no_more_and_both_are_made_of_their_parts(lengths: list[int], device: Device) -> None:
    found = estimated(configured("None"), lengths, device)
    assert found.least_bytes <= found.total_bytes
    assert sum(found.parts.values()) == found.total_bytes
    assert min(found.parts.values()) >= 0


@given(length=st.integers(10, 2000), device=DEVICES)
def test_both_of_a_pair_stand_in_a_row(length: int, device: Device) -> None:
    alone = {"hyperparameters": HYPERPARAMETERS | {"packing": "Disabled"}}
    pair = estimated(configured(objective=PREFERENCE, **alone), [length, length], device)
    one = estimated(configured(**alone), [length], device)
    # The adapter's weights, cast to the compute type, are kept once per row.
    assert 1.5 * one.parts["activations"] < pair.parts["activations"] <= 2 * one.parts["activations"] + 2


def test_a_larger_model_takes_more() -> None:
    smaller, larger = (estimate_memory(llama(layers, 512), configured(), [100] * 8).total_bytes for layers in (4, 8))
    assert smaller < larger


def test_qlora_of_a_7b_fits_24_gib_but_unquantized_rows_of_8192_tokens_do_not() -> None:
    lengths = [2048] * 32
    assert estimate_memory(llama(), configured(), lengths).least_bytes < 16 * 2**30
    assert estimate_memory(llama(), configured("None"), lengths).total_bytes > 24 * 2**30


def test_work_is_counted() -> None:
    shape, config = llama(4, 512), configured()
    work = training_work(shape, config, [100] * 8)
    assert (work.steps, work.tokens) == (4, 1600)  # two epochs of batches of 4
    frozen = 4 * shape.linear_parameters * 1600
    assert frozen < work.operations < 3 * frozen  # the head is large beside four layers
    assert training_work(replace(shape, vocabulary_size=64000), config, [100] * 8).operations > work.operations
    assert work.seconds(work.operations / 60) == pytest.approx(60)
