import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from adapter_contract import Quantization
from adapter_testing.learning_lab import FLOAT32, NF4, examples_of, lora
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.model import base as loading
from adapter_trainer.model.attach import attach_adapter, load_adapted
from adapter_trainer.model.base import load_base
from adapter_trainer.model.methods.pissa import PiSSAAdapter, PrincipalParts, principal_factors
from adapter_trainer.model.rounding import rounded
from adapter_trainer.model.rows import make_row
from adapter_trainer.model.saving import save_adapter

pytestmark = pytest.mark.integration

PISSA = {"initialization": "PiSSA"}
LAYER = "model.layers.1.mlp.up_proj"


def decomposed(base: Path, held: Quantization = FLOAT32, **changes: object) -> PiSSAAdapter:
    model = load_adapted(base, held, lora(**PISSA, **changes), parent=None, seed=0)
    assert isinstance(model, PiSSAAdapter)
    return model


def trained(base: Path, held: Quantization = FLOAT32, *, by: float = 0.02, **changes: object) -> PiSSAAdapter:
    """Return a model whose adapter was changed a little, as training does it."""
    model = decomposed(base, held, **changes)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.weights():
            weight.add_(torch.randn_like(weight), alpha=by)
    return model


@torch.no_grad()
def logits(model: object) -> torch.Tensor:
    return model.label_logits(make_row(examples_of(4), torch.device("cpu")))


def original(base: Path, layer: str = LAYER) -> torch.Tensor:
    return load_base(base, FLOAT32).model.get_submodule(layer).weight.double()


def computed(model: PiSSAAdapter, layer: str = LAYER) -> torch.Tensor:
    """Return the weight that a layer of the trained model amounts to."""
    adapted = model.layers[layer]
    change = adapted.lora_B["default"].weight.double() @ adapted.lora_A["default"].weight.double()
    return adapted.get_base_layer().weight.double() + adapted.scaling["default"] * change.detach()


def published(model: PiSSAAdapter, layer: str = LAYER) -> tuple[torch.Tensor, torch.Tensor]:
    tensors = model.tensors()
    return tensors[f"base_model.model.{layer}.lora_A.weight"], tensors[f"base_model.model.{layer}.lora_B.weight"]


@given(outputs=st.integers(1, 24), inputs=st.integers(1, 24), data=st.data())
def test_the_factors_are_those_of_a_singular_value_decomposition(
    outputs: int, inputs: int, data: st.DataObject
) -> None:
    rank = data.draw(st.integers(1, min(outputs, inputs)))
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    weight = torch.randn(outputs, inputs)
    factors = principal_factors(weight, rank)
    left, values, right = torch.linalg.svd(weight.double(), full_matrices=False)
    best = (left[:, :rank] * values[:rank]) @ right[:rank]
    assert torch.allclose(factors.up.double() @ factors.down.double(), best, atol=1e-5)
    # Both have the same share in each singular value.
    for product in (factors.up.T @ factors.up, factors.down @ factors.down.T):
        assert torch.allclose(product.double(), torch.diag(values[:rank]), atol=1e-4)


@pytest.mark.parametrize("weight", [torch.zeros(6, 4), torch.ones(4, 6), torch.eye(5)[:, :3] * 1e-20])
def test_a_weight_of_a_lower_rank_gives_finite_factors(weight: torch.Tensor) -> None:
    factors = principal_factors(weight, 3)
    assert torch.allclose(factors.up @ factors.down, weight, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{}, {"scaling": "RankStabilized"}, {"alpha": 3}, {"targetModules": ["q_proj", "layers.1.mlp.up_proj"]}],
    ids=str,
)
def test_base_and_published_adapter_are_the_trained_model(
    tiny_base: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    plain = logits(attach_adapter(load_base(tiny_base, FLOAT32), lora(), parent=None, seed=0))
    assert torch.allclose(logits(decomposed(tiny_base, **changes)), plain, atol=1e-6)

    model = trained(tiny_base, **changes)
    learned = logits(model)
    assert (learned - plain).abs().max() > 0.005
    save_adapter(model, tmp_path, base_model_name="tests/tiny-llama")
    plain_lora = lora(rank=8, alpha=8, **{key: value for key, value in changes.items() if key == "targetModules"})
    served = load_adapted(tiny_base, FLOAT32, plain_lora, parent=tmp_path, seed=0)
    assert torch.allclose(logits(served), learned, atol=2e-6)

    down, up = published(model)
    assert torch.allclose(original(tiny_base) + up.double() @ down.double(), computed(model), atol=1e-6)


def test_an_untrained_adapter_changes_nothing_at_all(tiny_base: Path) -> None:
    down, up = published(decomposed(tiny_base))
    assert torch.count_nonzero(up.double() @ down.double()) == 0


def test_a_small_change_survives_the_precision_of_an_engine(tiny_base: Path) -> None:
    """The usual conversion, [B, -B0] [A; A0], leaves little of it."""
    model = trained(tiny_base, by=0.001)
    initial, adapted = model._initial[LAYER], model.layers[LAYER]
    scaling = adapted.scaling["default"]
    usual_down = torch.cat([adapted.lora_A["default"].weight, initial.down]).detach()
    usual_up = scaling * torch.cat([adapted.lora_B["default"].weight, -initial.up], 1).detach()
    change = computed(model) - adapted.get_base_layer().weight.double() - scaling * (initial.up @ initial.down).double()

    def error(down: torch.Tensor, up: torch.Tensor) -> float:
        return float((up.bfloat16().double() @ down.bfloat16().double() - change).norm() / change.norm())

    assert error(*published(model)) < 0.01
    assert error(usual_down, usual_up) > 0.1


@pytest.mark.parametrize("kind", ["NF4", "Int8"])
def test_on_a_quantized_base_only_the_error_of_quantizing_the_remainder_is_left(tiny_base: Path, kind: str) -> None:
    held = NF4.model_copy(update={"type": kind, "compute_type": "Float32"})
    model = trained(tiny_base, held)
    down, up = published(model)
    served = original(tiny_base) + up.double() @ down.double()
    factors = principal_factors(original(tiny_base), 4)
    remainder = (original(tiny_base) - factors.up.double() @ factors.down.double()).float()
    left = rounded(remainder, held).double() - remainder.double()
    assert torch.allclose(computed(model) - served, left, atol=1e-5)
    weight = original(tiny_base).float()
    assert left.norm() < 0.97 * (rounded(weight, held) - weight).norm()


def test_what_is_published_is_plain_lora_of_twice_the_rank(tiny_base: Path, tmp_path: Path) -> None:
    model = trained(tiny_base, scaling="RankStabilized", targetModules=["v_proj", "q_proj"])
    saved = save_adapter(model, tmp_path, base_model_name="tests/tiny-llama")
    config = json.loads(saved.config.read_text())
    assert (config["r"], config["lora_alpha"], config["use_rslora"], config["init_lora_weights"]) == (8, 8, False, True)
    assert (saved.facts.rank, saved.facts.target_modules) == (8, ("q_proj", "v_proj"))
    # Half of the tensors is no learning of the run.
    assert 2 * saved.facts.trainable_parameters == sum(tensor.numel() for tensor in model.tensors().values())


def test_a_gpu_gets_the_remainder_in_bitsandbytes_layers(tiny_base: Path) -> None:
    """Here on the CPU, which bitsandbytes knows, too."""
    parts = PrincipalParts(lora(**PISSA))
    model = loading._load(tiny_base, torch.bfloat16, {})
    parts.take_out(model)
    remainder = model.get_submodule(LAYER).weight.clone()
    placed = loading._placed(model, torch.bfloat16, loading._layers(NF4, torch.bfloat16) | {"device_map": {"": "cpu"}})
    layer = placed.get_submodule(LAYER)
    assert type(layer).__name__ == "Linear4bit"
    inputs = torch.eye(layer.in_features, dtype=torch.bfloat16).requires_grad_()
    assert torch.equal(layer.train()(inputs).T, rounded(remainder, NF4))


def test_the_factors_are_the_same_whatever_the_number_of_threads(tmp_path: Path) -> None:
    """The matrices are so large that several threads would otherwise sum them up in another order."""
    config = LlamaConfig(
        vocab_size=8, hidden_size=192, intermediate_size=160, num_hidden_layers=1, num_attention_heads=2
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    found = []
    for threads in (1, 2, 4, 1):
        torch.set_num_threads(threads)
        model = decomposed(tmp_path)
        torch.set_num_threads(1)
        found.append([*model.weights(), *(layer.get_base_layer().weight for layer in model.layers.values())])
    for others in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], others, strict=True))


def test_a_base_that_cannot_be_decomposed_stays_as_it_is(tiny_base: Path) -> None:
    model = load_base(tiny_base, FLOAT32).model
    before = [weight.clone() for weight in model.parameters()]
    with pytest.raises(BadConfiguration, match=r"PiSSA finds only 16 principal parts in model\.layers\.0"):
        PrincipalParts(lora(**PISSA, rank=17, targetModules=["q_proj", "k_proj"])).take_out(model)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 17}, "method.lora.rank: PiSSA finds only 16 principal parts in model.layers.0.self_attn.k_proj"),
        ({"weightDecomposition": "Enabled"}, "method.lora.initialization: an adapter that was made with PiSSA"),
        ({"targetModules": ["k_projection"]}, "method.lora.targetModules: k_projection: the base model has no such"),
    ],
)
def test_what_cannot_be_decomposed(tiny_base: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadConfiguration) as raised:
        decomposed(tiny_base, **changes)
    assert str(raised.value).startswith(message)


def test_a_parent_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"method.lora.initialization: PiSSA begins with parts of the base"):
        load_adapted(tmp_path / "none", FLOAT32, lora(**PISSA), parent=tmp_path, seed=0)


def test_a_base_that_is_quantized_already_is_too_late(tiny_base: Path) -> None:
    with pytest.raises(ValueError, match="PiSSA needs the base before it is quantized"):
        attach_adapter(load_base(tiny_base, NF4), lora(**PISSA), parent=None, seed=0)


def test_weights_that_stand_in_two_modules_are_left_alone(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(BadConfiguration, match=r"method.lora.targetModules: PiSSA changes the weights of lm_head"):
        decomposed(tmp_path, targetModules=["q_proj", "lm_head"])


def test_all_linear_means_what_peft_means_by_it(tiny_base: Path) -> None:
    model = decomposed(tiny_base)
    linear = {name for name, module in load_base(tiny_base, FLOAT32).model.named_modules() if type(module) is nn.Linear}
    assert model.layers.keys() == linear - {"lm_head"}
