"""What holds for every method: it learns, it saves what it learned, and it goes on from its own parents only."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from pydantic import TypeAdapter

from adapter_contract import Quantization
from adapter_contract.recipe import Method
from adapter_testing.learning_lab import FLOAT32, METHOD, NF4, examples_of
from adapter_trainer.errors import BadConfiguration
from adapter_trainer.examples.example import Example
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter, load_adapted
from adapter_trainer.model.base import BaseModel, load_base
from adapter_trainer.model.dropout import drawing
from adapter_trainer.model.parallel import workers
from adapter_trainer.model.parent import load_parent
from adapter_trainer.model.rows import Row, make_row
from adapter_trainer.model.saving import save_adapter
from adapter_trainer.training.objectives.objective import gradients
from adapter_trainer.training.objectives.supervised import Supervised

pytestmark = [
    pytest.mark.integration,
    # PEFT 0.21 asks transformers 5.23 by a name that is to go in version 6.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]


def method(**settings: object) -> Method:
    return TypeAdapter(Method).validate_json(json.dumps(settings))


def lora(**changes: object) -> Method:
    return method(**METHOD | changes)


@dataclass(frozen=True)
class Case:
    """A method, a rate at which it learns, and how what it saved is trained on.

    Attributes:
        in_peft: whether the PEFT library knows the method.
        saved_as: the method of what it saves, if that is another: the same model but for rounding and quantization
            (test_pissa.py measures those).
    """

    method: Method
    rate: float
    in_peft: bool = True
    saved_as: Method | None = None

    @property
    def reloaded(self) -> Method:
        return self.saved_as or self.method


DORA = {"weightDecomposition": "Enabled"}
PISSA = {"initialization": "PiSSA"}
METHODS = {
    "LoRA": Case(lora(), 1e-2),
    "LoRA with dropout": Case(lora(dropout="0.1"), 1e-2),
    "rank-stabilized LoRA": Case(lora(scaling="RankStabilized"), 1e-2),
    "LoRA on some modules": Case(lora(targetModules=["q_proj", "down_proj"]), 2e-2),
    "DoRA": Case(lora(**DORA), 1e-2),
    "DoRA with dropout": Case(lora(**DORA, dropout="0.1"), 1e-2),
    "PiSSA": Case(lora(**PISSA), 5e-3, saved_as=lora(rank=8, alpha=8)),
    "IA3": Case(method(type="IA3"), 0.2),
    "IA3 on some modules": Case(
        method(type="IA3", targetModules=["v_proj", "up_proj", "down_proj"], feedforwardModules=["down_proj"]), 0.2
    ),
    "IA3 on all linear layers": Case(method(type="IA3", targetModules=["all-linear"]), 0.2),
    "prompt tuning": Case(method(type="PromptTuning", virtualTokens=6), 0.1),
    "prefix tuning": Case(method(type="PrefixTuning", virtualTokens=6), 0.1),
    "Pfeiffer": Case(method(type="Bottleneck", architecture="Pfeiffer", size=8), 1e-2, in_peft=False),
    "Houlsby": Case(method(type="Bottleneck", architecture="Houlsby", size=8), 1e-2, in_peft=False),
}
HELD = {"float32": FLOAT32, "NF4": NF4, "Int8": NF4.model_copy(update={"type": "Int8"})}
EXAMPLES = examples_of(6)

every_method = pytest.mark.parametrize("case", METHODS.values(), ids=METHODS)
every_base = pytest.mark.parametrize("held", HELD.values(), ids=HELD)


def adapted(base: Path, case: Case, held: Quantization) -> AdaptedModel:
    return load_adapted(base, held, case.method, parent=None, seed=0)


def learn(model: AdaptedModel, examples: Sequence[Example], *, rate: float, steps: int = 6) -> list[float]:
    """Train on packed rows, computed side by side; return the losses."""
    weights, losses = model.weights(), []
    optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0)
    divisor = sum(one.labelled_tokens for one in examples)
    rows = [examples[:3], examples[3:]]

    def compute(row: Sequence[Example]) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        with drawing(len(losses)):
            return gradients(Supervised(), model, row, divisor)

    with workers(model.base.device) as side_by_side:
        for _ in range(steps):
            with model.dropping_out():
                shares = list(side_by_side.map(compute, rows))
            for weight, *parts in zip(weights, *(part for _, part in shares), strict=True):
                weight.grad = torch.stack(parts).sum(0)
            optimizer.step()
            losses.append(float(sum(loss for loss, _ in shares)))
    return losses


def row_of(examples: Sequence[Example]) -> Row:
    return make_row(examples, torch.device("cpu"))


@torch.no_grad()
def logits(model: AdaptedModel) -> torch.Tensor:
    return model.label_logits(row_of(EXAMPLES))


@torch.no_grad()
def base_logits(base: BaseModel) -> torch.Tensor:
    row = row_of(EXAMPLES)
    with base.computing():
        output = base.model(
            input_ids=row.ids,
            position_ids=row.positions,
            document_lengths=row.lengths,
            logits_to_keep=row.before,
            use_cache=False,
        )
    return output.logits[0].float()


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


@every_base
@every_method
def test_a_method_learns_and_what_it_saves_is_what_it_learned(
    tiny_base: Path, tmp_path: Path, case: Case, held: Quantization
) -> None:
    model = adapted(tiny_base, case, held)
    losses = learn(model, EXAMPLES, rate=case.rate)
    assert losses[-1] < losses[0] - 0.02
    plain = base_logits(load_base(tiny_base, held))
    learned = logits(model)
    assert distance(learned, plain) > 0.05

    save_adapter(model, tmp_path / "adapter", base_model_name="tests/tiny-llama")
    again = load_adapted(tiny_base, held, case.reloaded, parent=tmp_path / "adapter", seed=9)
    reloaded = logits(again)
    if case.saved_as is None:
        assert torch.equal(reloaded, learned)
    if case.in_peft:
        in_peft = peft_logits(tiny_base, held, tmp_path / "adapter", virtual_tokens=model.virtual_tokens)
        # PEFT's layers and PyTorch's attention sum up in another order.
        assert distance(in_peft, single_logits(again)) < (1e-6 if held is FLOAT32 else 0.02)

    files = {path.name: path.read_bytes() for path in (tmp_path / "adapter").iterdir()}
    save_adapter(again, tmp_path / "again", base_model_name="tests/tiny-llama")
    assert (tmp_path / "again" / "adapter_model.safetensors").read_bytes() == files["adapter_model.safetensors"]


@torch.no_grad()
def single_logits(model: AdaptedModel) -> torch.Tensor:
    """Return the logits of one example alone."""
    return model.label_logits(row_of(EXAMPLES[:1]))


@torch.no_grad()
def peft_logits(base: Path, held: Quantization, directory: Path, *, virtual_tokens: int) -> torch.Tensor:
    """Return what `single_logits` does, of an adapter that the PEFT library loaded and computes by itself."""
    fresh = load_base(base, held)
    fresh.model.set_attn_implementation("sdpa")
    loaded = PeftModel.from_pretrained(fresh.model, directory)
    row = row_of(EXAMPLES[:1])
    with fresh.computing():
        # Equal numbers of rows of a matrix product make for equal order of its sums.
        output = loaded(input_ids=row.ids, logits_to_keep=row.before + virtual_tokens)
    return output.logits[0].float()


@every_method
def test_gradients_of_a_packed_row_are_those_of_its_documents(tiny_base: Path, case: Case) -> None:
    model = adapted(tiny_base, case, FLOAT32)
    learn(model, EXAMPLES, rate=case.rate, steps=1)
    divisor = sum(one.labelled_tokens for one in EXAMPLES)
    loss, packed = gradients(Supervised(), model, EXAMPLES, divisor)
    alone = [gradients(Supervised(), model, [one], divisor) for one in EXAMPLES]
    assert float(loss) == pytest.approx(sum(float(part) for part, _ in alone), rel=1e-5)
    for number, gradient in enumerate(packed):
        summed = torch.stack([shares[number] for _, shares in alone]).sum(0)
        assert torch.allclose(gradient, summed, rtol=1e-3, atol=1e-6)
        assert gradient.abs().max() > 0


@every_method
def test_equal_seeds_give_equal_files_whatever_the_number_of_threads(
    tiny_base: Path, tmp_path: Path, case: Case
) -> None:
    for threads in (1, 2):
        torch.set_num_threads(threads)
        model = adapted(tiny_base, case, NF4)
        learn(model, EXAMPLES, rate=case.rate, steps=2)
        torch.set_num_threads(1)
        save_adapter(model, tmp_path / str(threads), base_model_name="tests/tiny-llama")
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()


PARENTS = list(zip(METHODS, [*list(METHODS)[-4:], *list(METHODS)[:-4]], strict=True))


@pytest.mark.parametrize(("name", "parent"), PARENTS, ids=[f"{name} from {parent}" for name, parent in PARENTS])
def test_a_parent_of_another_method_is_refused(tiny_base: Path, tmp_path: Path, name: str, parent: str) -> None:
    save_adapter(adapted(tiny_base, METHODS[parent], FLOAT32), tmp_path, base_model_name="tests/tiny-llama")
    child = attach_adapter(load_base(tiny_base, FLOAT32), METHODS[name].reloaded, parent=None, seed=1)
    before = [weight.clone() for weight in child.weights()]
    with pytest.raises(BadConfiguration, match=r"^initializeFrom: "):
        load_parent(child, METHODS[name].reloaded, tmp_path)
    assert all(torch.equal(left, right) for left, right in zip(child.weights(), before, strict=True))
