import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from adapter_contract import Phase, Quantization, TrainerConfig
from adapter_testing.learning_lab import (
    FLOAT32,
    HOLDOUT,
    NF4,
    PREFERENCE,
    Recorder,
    examples_of,
    learning_config,
    pairs_of,
    prepared,
)
from adapter_trainer.errors import BadConfiguration, Diverged, Interrupted
from adapter_trainer.examples.prepare import PreparedExamples
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.parallel import Workers, workers
from adapter_trainer.training import memory
from adapter_trainer.training.evaluation import evaluate
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.objectives.objective import Objective, gradients
from adapter_trainer.training.objectives.preference import Preference
from adapter_trainer.training.objectives.supervised import Supervised
from adapter_trainer.training.observer import TrainingOutcome
from adapter_trainer.training.passes import Passes
from adapter_trainer.training.run import train

pytestmark = pytest.mark.integration

EXAMPLES = prepared(examples_of(10), examples_of(6, first=10))
ALL_METRICS = HOLDOUT | {"metrics": ["Loss", "Perplexity", "TokenAccuracy"]}


def fresh(base: Path, config: TrainerConfig, held: Quantization = NF4) -> AdaptedModel:
    return attach_adapter(load_base(base, held), config.method, parent=None, seed=config.hyperparameters.seed)


def trained(
    base: Path,
    config: TrainerConfig,
    examples: PreparedExamples = EXAMPLES,
    *,
    observer: Recorder | None = None,
    held: Quantization = NF4,
) -> tuple[AdaptedModel, TrainingOutcome]:
    model = fresh(base, config, held)
    return model, train(model, examples, config, observer or Recorder())


def passes_of(model: AdaptedModel, side_by_side: Workers) -> Passes:
    return Passes(RowBudget(model, packing=True), side_by_side, Recorder())


def fingerprint(model: AdaptedModel) -> str:
    state = hashlib.sha256()
    for weight in model.weights():
        state.update(weight.detach().numpy().tobytes())
    return state.hexdigest()


def test_the_loss_falls_on_examples_that_were_learned_and_only_the_adapter_changes(tiny_base: Path) -> None:
    config = learning_config(hyperparameters={"epochs": "12"})
    model = fresh(tiny_base, config)
    base = {name: weight.clone() for name, weight in model.base.model.named_parameters() if "lora" not in name}
    outcome = train(model, EXAMPLES, config, Recorder())
    losses = [point.loss for point in outcome.curve]
    assert losses[0] == pytest.approx(math.log(393), rel=0.05)  # random weights know nothing of 393 tokens
    # The small frozen head lets no token be much likelier than another: 5.3 is about the least there is.
    assert losses[-1] < 5.6
    for name, weight in model.base.model.named_parameters():
        if "lora" not in name:
            assert torch.equal(weight, base[name])


def test_what_is_reported(tiny_base: Path) -> None:
    observer = Recorder()
    config = learning_config(hyperparameters={"scheduler": "Linear"})
    _, outcome = trained(tiny_base, config, observer=observer)
    assert observer.phases == [Phase.TRAINING]
    assert [report.step for report in observer.reports] == [1, 2, 3, 4, 5]
    assert {report.total_steps for report in observer.reports} == {5}
    assert [report.epoch for report in observer.reports] == [0.4, 0.8, 1.2, 1.6, 2.0]
    assert all(report.tokens_per_second > 0 for report in observer.reports)
    assert observer.reports[0].estimated_remaining_seconds > 0
    assert observer.reports[-1].estimated_remaining_seconds == 0
    assert [point.loss for point in outcome.curve] == [report.loss for report in observer.reports]
    assert [point.learning_rate for point in outcome.curve] == pytest.approx([0.01, 0.008, 0.006, 0.004, 0.002])
    assert all(point.gradient_norm > 0 for point in outcome.curve)
    assert (outcome.steps, outcome.selected_step, outcome.metrics, outcome.evaluations) == (5, 5, {}, ())
    assert outcome.trained_tokens == 2 * EXAMPLES.tokens
    assert (outcome.micro_batch_tokens, outcome.peak_memory_bytes, outcome.warnings) == (512, None, ())


@pytest.mark.parametrize("dropout", ["0", "0.1"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(tiny_base: Path, dropout: str) -> None:
    def run(seed: int, threads: int = 1) -> tuple[str, tuple[float, ...]]:
        torch.set_num_threads(threads)
        config = learning_config(method={"dropout": dropout}, hyperparameters={"seed": seed}, evaluation=HOLDOUT)
        # Small rows, so that there are several to a step.
        model, outcome = trained(tiny_base, config)
        return fingerprint(model), tuple(point.loss for point in outcome.curve)

    one = run(1)
    torch.rand(7)  # what was drawn before must not matter
    assert run(1) == one
    assert run(1, threads=2) == one
    assert run(2) != one


@pytest.fixture
def small_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several rows to a step, though the examples are short."""
    monkeypatch.setattr(memory, "CPU_TOKENS", 30)


@pytest.mark.usefixtures("small_rows")
def test_threads_change_nothing_where_a_step_has_several_rows(tiny_base: Path) -> None:
    config = learning_config(method={"dropout": "0.1"})
    prints = []
    for threads in (1, 2, 4):
        torch.set_num_threads(threads)
        prints.append(fingerprint(trained(tiny_base, config)[0]))
    assert len(set(prints)) == 1


def test_dropout_changes_what_is_learned_and_not_what_is_measured(tiny_base: Path) -> None:
    without, with_it = (learning_config(method={"dropout": dropout}) for dropout in ("0", "0.5"))
    assert fingerprint(trained(tiny_base, without)[0]) != fingerprint(trained(tiny_base, with_it)[0])
    model = fresh(tiny_base, with_it)
    with workers(model.base.device) as side_by_side:
        passes = passes_of(model, side_by_side)
        one, again = (evaluate(Supervised(), model, EXAMPLES.evaluation, passes) for _ in range(2))
    assert one == again


def test_rows_change_rounding_only(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def losses(**changes: object) -> list[float]:
        config = learning_config(hyperparameters={"epochs": "4", **changes})
        return [point.loss for point in trained(tiny_base, config, held=FLOAT32)[1].curve]

    packed = losses()
    assert losses(packing="Disabled") == pytest.approx(packed, rel=1e-4)
    monkeypatch.setattr(memory, "CPU_TOKENS", 30)
    assert losses() == pytest.approx(packed, rel=1e-4)


@pytest.mark.parametrize(
    "method",
    [
        {"type": "IA3"},
        {"type": "PromptTuning", "virtualTokens": 3},
        {"type": "PrefixTuning", "virtualTokens": 3},
        {"type": "Bottleneck", "architecture": "Houlsby", "size": 8},
        {"type": "Bottleneck", "architecture": "Pfeiffer", "size": 8},
    ],
)
def test_rows_change_rounding_only_whatever_the_method(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch, method: dict[str, object]
) -> None:
    document = json.loads(learning_config(evaluation=HOLDOUT).to_json()) | {"method": method}
    config = TrainerConfig.from_object(document)

    def losses() -> list[float]:
        model, outcome = trained(tiny_base, config, held=FLOAT32)
        assert fingerprint(model) != fingerprint(fresh(tiny_base, config, FLOAT32))
        return [point.loss for point in outcome.curve] + [point.metrics["Loss"] for point in outcome.evaluations]

    packed = losses()
    monkeypatch.setattr(memory, "CPU_TOKENS", 40)
    assert losses() == pytest.approx(packed, rel=1e-3)


@pytest.mark.parametrize("held", ["NF4", "FP4", "Int8"])
@pytest.mark.parametrize(
    ("objective", "examples"),
    [(Supervised(), EXAMPLES), (Preference(0.1), prepared(pairs_of(10), pairs_of(6, first=10)))],
)
def test_an_evaluation_leaves_gradients_as_they_were(
    tiny_base: Path, held: str, objective: Objective, examples: PreparedExamples
) -> None:
    """Bitsandbytes' own 4-bit layers fail this on CPUs with AVX-512 BF16."""
    given = {} if isinstance(objective, Supervised) else {"objective": PREFERENCE}
    model = fresh(tiny_base, learning_config(), NF4.model_copy(update={"type": held}))
    train(model, examples, learning_config(**given), Recorder())
    with workers(model.base.device) as side_by_side:
        passes = passes_of(model, side_by_side)
        units, held_out = (objective.begin(model, some, passes) for some in (examples.training, examples.evaluation))
        before = gradients(objective, model, units[:4], 10)
        evaluate(objective, model, held_out, passes)
    with torch.no_grad(), model.base.computing():
        model.base.model(input_ids=torch.tensor([[5]]), use_cache=False)
    after = gradients(objective, model, units[:4], 10)
    assert torch.equal(before[0], after[0])
    assert any(share.any() for share in before[1])
    assert all(torch.equal(left, right) for left, right in zip(before[1], after[1], strict=True))


@pytest.mark.parametrize("held", ["NF4", "FP4", "Int8"])
def test_no_layer_of_bitsandbytes_computes_on_a_cpu(tiny_base: Path, held: str) -> None:
    """Those would be repacked for inference by the first pass without gradients."""
    model = fresh(tiny_base, learning_config(), NF4.model_copy(update={"type": held}))
    assert model.base.device.type == "cpu"
    for name, module in model.base.model.named_modules():
        assert not type(module).__module__.startswith(("bitsandbytes", "peft.tuners.lora.bnb")), name


def test_an_evaluation_in_between_changes_no_weight(tiny_base: Path) -> None:
    with_it, outcome = trained(tiny_base, learning_config(evaluation=HOLDOUT | {"intervalSteps": 1}))
    without, _ = trained(tiny_base, learning_config())
    assert len(outcome.evaluations) == 5
    assert fingerprint(with_it) == fingerprint(without)


@pytest.mark.parametrize(("interval", "steps"), [(None, [3, 5]), (2, [2, 4, 5]), (5, [5]), (9, [5])])
def test_when_evaluations_happen(tiny_base: Path, interval: int | None, steps: list[int]) -> None:
    observer = Recorder()
    config = learning_config(evaluation=ALL_METRICS | ({"intervalSteps": interval} if interval else {}))
    _, outcome = trained(tiny_base, config, observer=observer)
    assert [step for step, _ in observer.evaluations] == [point.step for point in outcome.evaluations] == steps
    assert observer.phases == [Phase.TRAINING, *[Phase.EVALUATING, Phase.TRAINING] * len(steps)]
    assert outcome.metrics == observer.evaluations[-1][1]
    assert set(outcome.metrics) == {"Loss", "Perplexity", "TokenAccuracy"}
    assert outcome.metrics["Perplexity"] == pytest.approx(math.exp(outcome.metrics["Loss"]))


def test_metrics_weigh_tokens_not_examples(tiny_base: Path) -> None:
    model, outcome = trained(tiny_base, learning_config(evaluation=ALL_METRICS), held=FLOAT32)
    loss = hits = count = 0.0
    for example in EXAMPLES.evaluation:
        with torch.no_grad():
            logits = model.peft(input_ids=torch.tensor([list(example.tokens)]), use_cache=False).logits[0, :-1]
        targets = torch.tensor(example.labels[1:])
        kept = targets >= 0
        loss += torch.nn.functional.cross_entropy(logits[kept], targets[kept], reduction="sum").item()
        hits += (logits[kept].argmax(-1) == targets[kept]).sum().item()
        count += kept.sum().item()
    assert outcome.metrics["Loss"] == pytest.approx(loss / count, rel=1e-5)
    assert outcome.metrics["TokenAccuracy"] == hits / count


def diverging(**changes: object) -> TrainerConfig:
    """A configuration whose evaluations soon get worse: it learns other examples by heart."""
    evaluation = HOLDOUT | {"intervalSteps": 1} | changes
    return learning_config(hyperparameters={"epochs": "8", "learningRate": "3e-2"}, evaluation=evaluation)


def test_the_best_step_is_selected(tiny_base: Path) -> None:
    model, outcome = trained(tiny_base, diverging(selectBest={"metric": "Loss"}))
    values = [point.metrics["Loss"] for point in outcome.evaluations]
    assert outcome.steps == 20
    assert outcome.metrics["Loss"] == min(values) < values[-1]
    assert outcome.selected_step == values.index(min(values)) + 1
    with workers(model.base.device) as side_by_side:
        passes = passes_of(model, side_by_side)
        again = evaluate(Supervised(), model, EXAMPLES.evaluation, passes)
    assert again["Loss"] == outcome.metrics["Loss"]


def test_training_stops_early(tiny_base: Path) -> None:
    _, outcome = trained(tiny_base, diverging(earlyStopping={"patience": 2}))
    values = [point.metrics["Loss"] for point in outcome.evaluations]
    assert outcome.steps == len(values) == values.index(min(values)) + 1 + 2 < 20
    assert outcome.selected_step == outcome.steps  # nobody asked for the best


@pytest.mark.usefixtures("small_rows")
@pytest.mark.parametrize(
    ("stop", "steps"),
    [
        (lambda _: True, 0),
        (lambda recorder: recorder.asked > 2, 0),
        (lambda recorder: len(recorder.reports) == 2, 2),
        (lambda recorder: recorder.phases[-1] is Phase.EVALUATING, 3),
    ],
)
def test_a_training_stops_between_rows_and_in_evaluations(
    tiny_base: Path, stop: Callable[[Recorder], bool], steps: int
) -> None:
    observer = Recorder(stop=stop)
    with pytest.raises(Interrupted, match="the training was asked to stop"):
        trained(tiny_base, learning_config(evaluation=HOLDOUT), observer=observer)
    assert len(observer.reports) == steps


def test_a_loss_that_is_no_number_ends_the_training(tiny_base: Path) -> None:
    config = learning_config()
    model = fresh(tiny_base, config)
    with torch.no_grad():
        model.weights()[0].fill_(float("nan"))
    with pytest.raises(Diverged, match=r"step 1: the loss is nan.*lower hyperparameters.learningRate"):
        train(model, EXAMPLES, config, Recorder())


def test_weights_that_explode_end_the_training(tiny_base: Path) -> None:
    config = learning_config(hyperparameters={"learningRate": "1e30", "maxGradientNorm": "0", "epochs": "9"})
    with pytest.raises(Diverged, match=r"step [23]: the loss is"):
        trained(tiny_base, config)


def test_an_evaluation_that_is_no_number_ends_the_training(tiny_base: Path) -> None:
    config = learning_config(hyperparameters={"learningRate": "1e30", "maxSteps": 1}, evaluation=HOLDOUT)
    with pytest.raises(Diverged, match=r"the loss on the evaluation set is"):
        trained(tiny_base, config)


def test_gradients_are_clipped(tiny_base: Path) -> None:
    def moved(limit: str) -> float:
        config = learning_config(hyperparameters={"maxGradientNorm": limit, "epochs": "1"})
        return sum(weight.abs().sum().item() for weight in trained(tiny_base, config)[0].weights())

    # AdamW normalizes gradients, so clipping shows where its epsilon of 1e-8 counts.
    assert moved("1e-9") < moved("100") == moved("0")


def test_weight_decay_shrinks_weights(tiny_base: Path) -> None:
    def size(decay: str) -> float:
        model, _ = trained(tiny_base, learning_config(hyperparameters={"weightDecay": decay}))
        return sum(weight.square().sum().item() for weight in model.weights())

    assert size("5") < size("0")


def test_what_this_release_cannot_train_is_refused(tiny_base: Path) -> None:
    config = learning_config(evaluation=HOLDOUT | {"metrics": ["RougeL"]})
    with pytest.raises(BadConfiguration, match=r"evaluation.metrics"):
        trained(tiny_base, config)


def test_a_model_that_cannot_pack_is_trained_and_says_so(tiny_base: Path) -> None:
    config = learning_config()
    model = fresh(tiny_base, config)
    model.base.model.set_attn_implementation("sdpa")
    object.__setattr__(model.base, "packable", False)
    outcome = train(model, EXAMPLES, config, Recorder())
    assert outcome.micro_batch_tokens is None
    assert outcome.warnings[0].startswith("hyperparameters.packing: this model can't keep packed examples apart")


def test_other_errors_pass(tiny_base: Path) -> None:
    config = learning_config()
    model = fresh(tiny_base, config)

    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    model.base.model.get_decoder().register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="something else"):
        train(model, EXAMPLES, config, Recorder())
