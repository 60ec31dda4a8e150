"""Functions of our own give what the parts give that they stand for, and the same gradients."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from adapter_testing.families_lab import FAMILIES, documents, family_base, family_model
from adapter_testing.learning_lab import FLOAT32, lora
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.dropout import drawing
from adapter_trainer.model.fused import head as heads
from adapter_trainer.model.fused.attention import Documents, documents_attention
from adapter_trainer.model.fused.head import has_plain_head, head_likelihoods, logits_likelihoods
from adapter_trainer.model.fused.norm import fuse_norm
from adapter_trainer.model.fused.swiglu import fuse_gate
from adapter_trainer.model.rows import make_row

pytestmark = pytest.mark.integration


def gradients(output: torch.Tensor, inputs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(5)
    return torch.autograd.grad(output, inputs, torch.randn(output.shape).to(output.dtype))


def require_equal(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor], tolerance: float = 1e-5) -> None:
    for left, right in zip(found, expected, strict=True):
        assert left.shape == right.shape
        assert torch.allclose(left, right, rtol=tolerance, atol=tolerance)


def masked(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    queries: Sequence[int],
    keys: Sequence[int],
    window: int,
) -> torch.Tensor:
    """Attend with PyTorch's function and a mask, document by document."""
    attended = []
    parts = zip(query.split(queries, 2), key.split(keys, 2), value.split(keys, 2), strict=True)
    for one, of, to in parts:
        distance = torch.arange(of.shape[2] - one.shape[2], of.shape[2])[:, None] - torch.arange(of.shape[2])
        mask = (distance >= 0) & (distance < window)
        attended.append(
            functional.scaled_dot_product_attention(one, of, to, attn_mask=mask, scale=0.3, enable_gqa=True)
        )
    return torch.cat(attended, 2).transpose(1, 2)


@pytest.mark.parametrize(
    ("queries", "before", "window"),
    [([7], 0, None), ([1, 5, 161, 33], 0, None), ([330, 12], 0, None), ([330, 12], 0, 40), ([3, 170], 4, None)],
)
@pytest.mark.parametrize("groups", [1, 3])
def test_attention(queries: list[int], before: int, window: int | None, groups: int) -> None:
    keys = [length + before for length in queries]
    torch.manual_seed(0)
    query = torch.randn(1, 2 * groups, sum(queries), 8, requires_grad=True)
    key, value = (torch.randn(1, 2, sum(keys), 8, requires_grad=True) for _ in range(2))
    expected = masked(query, key, value, queries, keys, window or 10_000)
    given = query.detach().clone(), key.detach().clone()
    found = documents_attention(query, key, value, Documents(tuple(queries), tuple(keys), window), 0.3)
    require_equal([found], [expected])
    inputs = (query, key, value)
    require_equal(gradients(found, inputs), gradients(expected, inputs), 1e-4)
    require_equal((query, key), given, 0)


def test_attention_in_sixteen_bits_is_as_near_as_pytorchs() -> None:
    torch.manual_seed(0)
    exact = torch.randn(3, 1, 3, 200, 16, dtype=torch.float64)
    truth = functional.scaled_dot_product_attention(*exact.to(torch.bfloat16).double(), is_causal=True)
    theirs = functional.scaled_dot_product_attention(*exact.to(torch.bfloat16), is_causal=True)
    ours = documents_attention(*exact.to(torch.bfloat16), Documents((200,), (200,))).transpose(1, 2)
    assert (ours - truth).norm() < 1.25 * (theirs - truth).norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_norm(dtype: torch.dtype) -> None:
    plain, fused = (LlamaRMSNorm(24, eps=1e-5).to(dtype).requires_grad_(requires_grad=False) for _ in range(2))
    for norm in (plain, fused):
        norm.weight.copy_(torch.linspace(0.5, 2, 24))
    assert fuse_norm(fused)
    values = torch.randn(1, 9, 24, dtype=dtype, requires_grad=True)
    assert torch.equal(fused(values), plain(values))
    found, expected = gradients(fused(values), [values]), gradients(plain(values), [values])
    require_equal(found, expected, 1e-5 if dtype == torch.float32 else 0.02)


def test_a_norm_of_another_kind_or_that_learns_is_left_alone() -> None:
    assert not fuse_norm(GemmaRMSNorm(8).requires_grad_(requires_grad=False))
    assert not fuse_norm(LlamaRMSNorm(8))
    assert not fuse_norm(nn.LayerNorm(8).requires_grad_(requires_grad=False))


def feed_forward(activation: str) -> LlamaMLP:
    torch.manual_seed(0)
    config = LlamaConfig(hidden_size=12, intermediate_size=20, num_attention_heads=2, hidden_act=activation)
    return LlamaMLP(config).requires_grad_(requires_grad=False)


def test_gate() -> None:
    plain, fused = feed_forward("silu"), feed_forward("silu")
    assert fuse_gate(fused)
    values = torch.randn(1, 9, 12, requires_grad=True)
    assert torch.equal(fused(values), plain(values))
    require_equal(gradients(fused(values), [values]), gradients(plain(values), [values]))


def test_another_gate_is_left_alone() -> None:
    assert not fuse_gate(feed_forward("gelu"))
    assert not fuse_gate(nn.Linear(3, 3))


@pytest.mark.parametrize("bias", [False, True])
def test_head(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_CHUNK_NUMBERS", 3 * 50)
    torch.manual_seed(0)
    head = nn.Linear(16, 50, bias=bias).requires_grad_(requires_grad=False)
    hidden = (20 * torch.randn(11, 16)).requires_grad_()
    targets = torch.randint(0, 50, (11,))
    found, expected = head_likelihoods(hidden, head, targets), logits_likelihoods(head(hidden), targets)
    assert torch.equal(found.hits, expected.hits)
    require_equal([found.log_probabilities], [expected.log_probabilities])
    both = [gradients(one.log_probabilities, [hidden]) for one in (found, expected)]
    require_equal(*both, 1e-4)
    with torch.no_grad():
        assert torch.equal(head_likelihoods(hidden, head, targets).log_probabilities, found.log_probabilities)


def test_a_head_that_is_nearly_certain_still_says_what_to_change() -> None:
    """In 16 bits, what is missing to certainty is smaller than the steps between numbers near 1."""
    torch.manual_seed(0)
    head = nn.Linear(16, 50, bias=False).requires_grad_(requires_grad=False)
    targets = torch.randint(0, 50, (40,))
    hidden = (6 * nn.functional.normalize(head.weight[targets]) * 5 + 0.1 * torch.randn(40, 16)).bfloat16()
    exact = hidden.float().requires_grad_()
    head.bfloat16()
    wide = functional.linear(exact, head.weight.float()).log_softmax(-1).gather(1, targets[:, None]).sum()
    (expected,) = torch.autograd.grad(wide, exact)
    narrow = hidden.requires_grad_()
    likely = head_likelihoods(narrow, head, targets).log_probabilities
    assert likely.exp().median() > 0.99
    (found,) = torch.autograd.grad(likely.sum(), narrow)
    assert (found.float() - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize(
    ("kind", "changes", "plain"), [("llama", {}, True), ("gemma2", {"head_dim": 8}, False), ("cohere", {}, False)]
)
def test_a_head_whose_outputs_are_changed_is_found_out(kind: str, changes: dict[str, object], plain: bool) -> None:
    small = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    heads_of = {"num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": 0}
    config = AutoConfig.for_model(kind, **small, **heads_of, **changes)
    model = AutoModelForCausalLM.from_config(config).requires_grad_(requires_grad=False)
    assert has_plain_head(model.train(mode=False)) == plain


METHODS: dict[str, Callable[[], object]] = {
    "plain": lora,
    "dropout": lambda: lora(dropout="0.5"),
    "rank-stabilized": lambda: lora(scaling="RankStabilized"),
    "some": lambda: lora(targetModules=["q_proj", "down_proj"]),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", [name for name in FAMILIES if "phi" not in name])
def test_loss_and_gradients_are_those_of_transformers_and_peft(family: str, method: str) -> None:
    """With every part replaced, against the same model with none replaced, in float32."""
    row = make_row(documents([5, 23, 40], learned_from=2), torch.device("cpu"))
    fused = attach_adapter(family_base(family, FLOAT32), METHODS[method](), parent=None, seed=0)
    plain = attach_adapter(_unfused(family), METHODS[method](), parent=None, seed=0)
    for layer in plain.layers.values():
        vars(layer).pop("forward")
    results = []
    for model in (fused, plain):
        torch.manual_seed(1)
        with torch.no_grad():
            for weight in model.weights():
                weight.add_(torch.randn_like(weight), alpha=0.05)
        with drawing(3), model.dropping_out():
            loss = -model.label_likelihoods(row).log_probabilities.sum()
        results.append([loss, *torch.autograd.grad(loss, model.weights())])
    assert all(gradient.abs().max() > 0 for gradient in results[0])
    for found, expected in zip(*results, strict=True):
        assert (found - expected).norm() <= 1e-4 * expected.norm()


def _unfused(family: str):
    base = family_base(family, FLOAT32)
    for module in base.model.modules():
        vars(module).pop("forward", None)
    object.__setattr__(base, "plain_head", False)
    assert family_model(family).config.model_type == base.model.config.model_type
    return base
