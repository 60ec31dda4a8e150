"""Direct preference optimization must be what the paper's formula gives, computed pair by pair."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from adapter_contract import Quantization, TrainerConfig
from adapter_testing.learning_lab import (
    FLOAT32,
    HOLDOUT,
    NF4,
    PREFERENCE,
    Recorder,
    example,
    examples_of,
    learning_config,
    pairs_of,
    prepared,
)
from adapter_trainer.errors import BadConfiguration, Diverged, Interrupted
from adapter_trainer.examples.example import Example, PreferencePair, Unit
from adapter_trainer.examples.prepare import PreparedExamples
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter, load_adapted
from adapter_trainer.model.base import load_base
from adapter_trainer.model.parallel import workers
from adapter_trainer.model.saving import save_adapter
from adapter_trainer.training import memory
from adapter_trainer.training.evaluation import evaluate
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.objectives.objective import gradients
from adapter_trainer.training.objectives.preference import PairWithReference, Preference
from adapter_trainer.training.observer import TrainingOutcome
from adapter_trainer.training.passes import Passes
from adapter_trainer.training.run import train

pytestmark = pytest.mark.integration

PAIRS = prepared(pairs_of(12), pairs_of(6, first=12))
METRICS = ["Loss", "PreferenceAccuracy", "Perplexity", "TokenAccuracy"]
BETA = 0.5


def configured(*, beta: str = "0.1", evaluation: Mapping[str, object] | None = None, **changes: Any) -> TrainerConfig:
    """A configuration that evaluates at the end of each epoch; changes as in `learning_config`."""
    measured = HOLDOUT | {"metrics": METRICS} | dict(evaluation or {})
    return learning_config(objective=PREFERENCE | {"beta": beta}, evaluation=measured, **changes)


def fresh(base: Path, held: Quantization = NF4, *, parent: Path | None = None) -> AdaptedModel:
    return attach_adapter(load_base(base, held), learning_config().method, parent=parent, seed=0)


def trained(
    base: Path, config: TrainerConfig, held: Quantization = NF4, *, examples: PreparedExamples = PAIRS
) -> tuple[AdaptedModel, TrainingOutcome]:
    model = attach_adapter(load_base(base, held), config.method, parent=None, seed=config.hyperparameters.seed)
    return model, train(model, examples, config, Recorder())


def moved(model: AdaptedModel, *, seed: int) -> AdaptedModel:
    """Change the weights, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.weights():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.05)
    return model


def begun(model: AdaptedModel, units: Sequence[Unit]) -> Sequence[Unit]:
    with workers(model.base.device) as side_by_side:
        passes = Passes(RowBudget(model, packing=True), side_by_side, Recorder())
        return Preference(BETA).begin(model, units, passes)


def weights_of(model: AdaptedModel) -> str:
    return hashlib.sha256(b"".join(weight.detach().numpy().tobytes() for weight in model.weights())).hexdigest()


def likelihood(model: AdaptedModel, answer: Example) -> torch.Tensor:
    """Return the log likelihood of the learned tokens, with the model as PEFT has it."""
    logits = model.peft(input_ids=torch.tensor([list(answer.tokens)]), use_cache=False).logits[0]
    scores = functional.log_softmax(logits, -1)
    (span,) = answer.learned
    return torch.stack([scores[position - 1, answer.tokens[position]] for position in range(*span)]).sum()


def likeliest(model: AdaptedModel, answer: Example) -> int:
    """Return how many learned tokens are the likeliest ones."""
    best = model.peft(input_ids=torch.tensor([list(answer.tokens)]), use_cache=False).logits[0].argmax(-1).tolist()
    (span,) = answer.learned
    return sum(best[position - 1] == answer.tokens[position] for position in range(*span))


def margin(model: AdaptedModel, reference: AdaptedModel, pair: PreferencePair) -> torch.Tensor:
    with torch.no_grad():
        chosen, rejected = (likelihood(reference, answer) for answer in pair.sequences)
    return (likelihood(model, pair.chosen) - chosen) - (likelihood(model, pair.rejected) - rejected)


def test_loss_and_gradients_are_the_formulas(tiny_base: Path) -> None:
    pairs = pairs_of(5)
    reference, model = (moved(fresh(tiny_base, FLOAT32), seed=1) for _ in range(2))
    units = begun(model, pairs)
    moved(model, seed=2)

    margins = torch.stack([margin(model, reference, pair) for pair in pairs])
    expected = -torch.log(torch.sigmoid(BETA * margins)).mean()
    loss, found = gradients(Preference(BETA), model, units, len(pairs))
    assert margins.abs().min() > 0.01
    assert float(loss) == pytest.approx(expected.item(), rel=1e-5)
    for left, right in zip(found, torch.autograd.grad(expected, model.weights()), strict=True):
        assert torch.allclose(left, right, rtol=1e-3, atol=1e-6)
        assert left.abs().max() > 0


def test_metrics_are_the_formulas(tiny_base: Path) -> None:
    pairs = pairs_of(9)
    reference, model = (moved(fresh(tiny_base, FLOAT32), seed=1) for _ in range(2))
    units = begun(model, pairs)
    mixed = [pair.sequences[number % 2] for number, pair in enumerate(pairs)]
    train(model, prepared(mixed), learning_config(hyperparameters={"epochs": "12"}), Recorder())
    with workers(model.base.device) as side_by_side:
        passes = Passes(RowBudget(model, packing=True), side_by_side, Recorder())
        found = evaluate(Preference(BETA), model, units, passes)

    with torch.no_grad():
        margins = torch.stack([margin(model, reference, pair) for pair in pairs])
        nats = -sum(float(likelihood(model, pair.chosen)) for pair in pairs)
        hits = sum(likeliest(model, pair.chosen) for pair in pairs)
    tokens = sum(pair.chosen.labelled_tokens for pair in pairs)
    preferred = int((margins > 0).sum())
    assert 0 < preferred < len(pairs)
    assert found["Loss"] == pytest.approx(float(functional.softplus(-BETA * margins).mean()), rel=1e-5)
    assert found["PreferenceAccuracy"] == preferred / len(pairs)
    assert found["Perplexity"] == pytest.approx(math.exp(nats / tokens), rel=1e-5)
    assert found["TokenAccuracy"] == hits / tokens > 0


def test_a_model_that_has_learned_nothing_prefers_nothing(tiny_base: Path) -> None:
    model = fresh(tiny_base, FLOAT32)
    units = begun(model, PAIRS.evaluation)
    with workers(model.base.device) as side_by_side:
        passes = Passes(RowBudget(model, packing=True), side_by_side, Recorder())
        metrics = evaluate(Preference(BETA), model, units, passes)
    assert metrics["Loss"] == pytest.approx(math.log(2))
    assert metrics["PreferenceAccuracy"] == 0


def test_preferences_are_learned_and_hold_for_other_prompts(tiny_base: Path) -> None:
    _, outcome = trained(tiny_base, configured(beta="1", hyperparameters={"epochs": "6"}))
    losses = [point.loss for point in outcome.curve]
    assert losses[0] == pytest.approx(math.log(2), rel=0.01)
    assert losses[-1] < 0.2
    assert outcome.metrics["PreferenceAccuracy"] == 1
    assert outcome.metrics["Loss"] < 0.3
    assert outcome.trained_tokens == 6 * PAIRS.tokens
    assert set(outcome.metrics) == set(METRICS)


@pytest.mark.parametrize(
    "method", [{"weightDecomposition": "Enabled"}, {"scaling": "RankStabilized"}, {"initialization": "PiSSA"}]
)
def test_every_kind_of_lora_begins_at_its_reference_and_learns(tiny_base: Path, method: dict[str, object]) -> None:
    config = configured(beta="1", method=method, hyperparameters={"epochs": "4"})
    model = load_adapted(tiny_base, NF4, config.method, parent=None, seed=0)
    outcome = train(model, PAIRS, config, Recorder())
    assert outcome.curve[0].loss == pytest.approx(math.log(2), rel=0.02)
    assert outcome.curve[-1].loss < 0.5
    assert outcome.metrics["PreferenceAccuracy"] == 1


def test_beta_holds_the_model_to_its_reference(tiny_base: Path) -> None:
    def gained(beta: str) -> float:
        """Return how much likelier the chosen answers are than the rejected ones, beyond the reference."""
        model, _ = trained(tiny_base, configured(beta=beta, hyperparameters={"epochs": "20"}), FLOAT32)
        start = fresh(tiny_base, FLOAT32)
        with torch.no_grad():
            return sum(float(margin(model, start, pair)) for pair in PAIRS.training)

    assert gained("5") < gained("0.05")


def test_the_reference_of_a_fresh_adapter_is_the_bare_base(tiny_base: Path) -> None:
    base = load_base(tiny_base, FLOAT32)
    alone = {
        pair.chosen.tokens.tobytes(): float(
            -functional.cross_entropy(
                base.model(input_ids=torch.tensor([list(pair.chosen.tokens)])).logits[0, :-1],
                torch.tensor(pair.chosen.labels[1:]),
                reduction="sum",
            )
        )
        for pair in PAIRS.training
    }
    for unit in begun(fresh(tiny_base, FLOAT32), PAIRS.training):
        assert isinstance(unit, PairWithReference)
        assert unit.reference[0] == pytest.approx(alone[unit.chosen.tokens.tobytes()], rel=1e-5)


def test_the_reference_of_a_parents_adapter_is_the_parent(tiny_base: Path, tmp_path: Path) -> None:
    parent = moved(fresh(tiny_base, FLOAT32), seed=5)
    save_adapter(parent, tmp_path, base_model_name="base")
    model = fresh(tiny_base, FLOAT32, parent=tmp_path)
    with torch.no_grad():
        expected = [tuple(float(likelihood(parent, one)) for one in pair.sequences) for pair in PAIRS.training]
        bare = [float(likelihood(fresh(tiny_base, FLOAT32), pair.chosen)) for pair in PAIRS.training[:1]]
    found = [unit.reference for unit in begun(model, PAIRS.training) if isinstance(unit, PairWithReference)]
    assert torch.allclose(torch.tensor(found), torch.tensor(expected), rtol=1e-5)
    assert found[0][0] != pytest.approx(bare[0], rel=1e-3)
    outcome = train(model, PAIRS, configured(), Recorder())
    assert outcome.curve[0].loss == pytest.approx(math.log(2), rel=1e-4)


def test_rows_change_rounding_only(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(**changes: object) -> list[float]:
        outcome = trained(tiny_base, configured(hyperparameters={"epochs": "3", **changes}), FLOAT32)[1]
        return [point.loss for point in outcome.curve] + [point.metrics["Loss"] for point in outcome.evaluations]

    packed = losses()
    assert losses(packing="Disabled") == pytest.approx(packed, rel=1e-3)
    monkeypatch.setattr(memory, "CPU_TOKENS", 40)
    assert losses() == pytest.approx(packed, rel=1e-3)


def test_a_model_that_cannot_keep_answers_apart_computes_each_alone(tiny_base: Path) -> None:
    together, apart = (moved(fresh(tiny_base, FLOAT32), seed=1) for _ in range(2))
    apart.base.model.set_attn_implementation("sdpa")
    object.__setattr__(apart.base, "packable", False)
    results = []
    rows: list[int] = []
    apart.base.model.register_forward_pre_hook(
        lambda _, __, given: rows.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    pairs = pairs_of(2)
    for model in (together, apart):
        units = begun(model, pairs)
        moved(model, seed=2)
        results.append(gradients(Preference(BETA), model, units, 2))
    assert set(rows) <= {len(answer.tokens) for pair in pairs for answer in pair.sequences}
    assert float(results[0][0]) == pytest.approx(float(results[1][0]), rel=1e-5)
    for left, right in zip(results[0][1], results[1][1], strict=True):
        assert torch.allclose(left, right, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dropout", ["0", "0.1"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, dropout: str
) -> None:
    monkeypatch.setattr(memory, "CPU_TOKENS", 40)

    def run(threads: int) -> tuple[str, dict[str, float]]:
        torch.set_num_threads(threads)
        model, outcome = trained(tiny_base, configured(method={"dropout": dropout}))
        return weights_of(model), outcome.metrics

    assert run(1) == run(1) == run(2)


def test_the_reference_is_computed_without_dropout(tiny_base: Path) -> None:
    config = configured(method={"dropout": "0.5"})
    _, outcome = trained(tiny_base, config.model_copy(update={"evaluation": None}), FLOAT32)
    plain = [unit.reference for unit in begun(fresh(tiny_base, FLOAT32), PAIRS.training)]  # type: ignore[union-attr]
    model = attach_adapter(load_base(tiny_base, FLOAT32), config.method, parent=None, seed=0)
    assert [unit.reference for unit in begun(model, PAIRS.training)] == plain  # type: ignore[union-attr]
    assert outcome.curve[0].loss == pytest.approx(math.log(2), rel=0.01)


def unrelated(count: int) -> tuple[PreferencePair, ...]:
    """Pairs from which nothing can be learned that helps with other pairs."""
    generator = torch.Generator().manual_seed(7)
    answers = (torch.randint(3, 390, (8,), generator=generator).tolist() for _ in range(2 * count))
    return tuple(PreferencePair(example([5, 6, *one]), example([5, 6, *next(answers)])) for one in answers)


def test_the_step_of_the_best_accuracy_is_selected(tiny_base: Path) -> None:
    examples = prepared(PAIRS.training, unrelated(30))
    selection = {"intervalSteps": 1, "selectBest": {"metric": "PreferenceAccuracy"}}
    longer = configured(hyperparameters={"epochs": "6"}, evaluation=selection)
    model, outcome = trained(tiny_base, longer, examples=examples)
    values = [point.metrics["PreferenceAccuracy"] for point in outcome.evaluations]
    assert outcome.steps == len(values) == 18
    assert outcome.metrics["PreferenceAccuracy"] == max(values) > values[-1]
    assert outcome.selected_step == values.index(max(values)) + 1 < outcome.steps
    stopped = configured(hyperparameters={"maxSteps": outcome.selected_step})
    assert weights_of(model) == weights_of(trained(tiny_base, stopped, examples=examples)[0])


def test_training_stops_where_accuracy_rises_no_more(tiny_base: Path) -> None:
    config = configured(
        hyperparameters={"epochs": "20"},
        evaluation={
            "intervalSteps": 1,
            "selectBest": {"metric": "PreferenceAccuracy"},
            "earlyStopping": {"patience": 3},
        },
    )
    _, outcome = trained(tiny_base, config)
    values = [point.metrics["PreferenceAccuracy"] for point in outcome.evaluations]
    assert outcome.steps == values.index(max(values)) + 1 + 3 < 60


def test_weights_that_explode_end_the_training(tiny_base: Path) -> None:
    config = configured(hyperparameters={"learningRate": "1e30", "maxGradientNorm": "0", "epochs": "9"})
    with pytest.raises(Diverged, match=r"step [23]: the loss is"):
        trained(tiny_base, config.model_copy(update={"evaluation": None}))


def test_a_reference_that_is_no_number_ends_the_training(tiny_base: Path) -> None:
    model = fresh(tiny_base)
    with torch.no_grad():
        for weight in model.weights():
            weight.fill_(float("nan"))
    with pytest.raises(Diverged, match="before the first step: the likelihood of an answer is not finite"):
        train(model, PAIRS, configured(), Recorder())


def test_it_stops_while_the_reference_is_computed(tiny_base: Path) -> None:
    observer = Recorder(stop=lambda recorder: recorder.asked > 1)
    with pytest.raises(Interrupted, match="the training was asked to stop"):
        train(fresh(tiny_base), prepared(pairs_of(60)), learning_config(objective=PREFERENCE), observer)
    assert (observer.reports, observer.asked) == ([], 2)


def test_each_objective_refuses_the_others_examples(tiny_base: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"objective.type: it learns from examples of type PreferencePair"):
        train(fresh(tiny_base), prepared(examples_of(4)), learning_config(objective=PREFERENCE), Recorder())
    with pytest.raises(BadConfiguration, match=r"objective.type: it learns from examples of type Example"):
        train(fresh(tiny_base), PAIRS, learning_config(), Recorder())
