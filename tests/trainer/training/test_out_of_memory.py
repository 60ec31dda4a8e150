"""Where memory runs out, rows get smaller; what is learned stays the same."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from adapter_contract import Phase, TrainerConfig
from adapter_testing.learning_lab import (
    FLOAT32,
    HOLDOUT,
    PREFERENCE,
    Recorder,
    example,
    examples_of,
    learning_config,
    pairs_of,
    prepared,
)
from adapter_trainer.errors import OutOfMemory
from adapter_trainer.model.adapted import AdaptedModel
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.fused.head import Likelihoods
from adapter_trainer.model.parallel import workers
from adapter_trainer.model.rows import Row
from adapter_trainer.training.memory import RowBudget
from adapter_trainer.training.objectives.choice import objective_of
from adapter_trainer.training.observer import TrainingOutcome
from adapter_trainer.training.passes import Passes
from adapter_trainer.training.rehearsal import rehearse
from adapter_trainer.training.run import train
from adapter_trainer.training.schedule import Schedule

pytestmark = pytest.mark.integration

EXAMPLES = prepared(examples_of(10), examples_of(6, first=10))
PAIRS = prepared(pairs_of(10), pairs_of(6, first=10))
SUPERVISED: dict[str, Any] = {"type": "SupervisedFineTuning", "lossOn": "Completion"}
BOTH = pytest.mark.parametrize(("objective", "examples"), [(SUPERVISED, EXAMPLES), (PREFERENCE, PAIRS)])


def configured(objective: Mapping[str, Any] = SUPERVISED, **hyperparameters: object) -> TrainerConfig:
    return learning_config(objective=objective, evaluation=HOLDOUT, hyperparameters=hyperparameters)


def fresh(base: Path, config: TrainerConfig) -> AdaptedModel:
    return attach_adapter(load_base(base, FLOAT32), config.method, parent=None, seed=0)


class Memory:
    """Stands for an accelerator's memory that holds rows of so many tokens: the model's forward pass says so."""

    def __init__(self, model: AdaptedModel, tokens: int) -> None:
        self.rows: list[int] = []
        self._tokens = tokens
        model.base.model.get_decoder().register_forward_pre_hook(self._check, with_kwargs=True)

    def _check(self, _: torch.nn.Module, __: tuple[Any, ...], given: dict[str, Any]) -> None:
        self.rows.append(given["input_ids"].shape[1])
        if self.rows[-1] > self._tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")


class Failing:
    """Stands for memory that runs out once: in the pass with a number, on its way forward or back."""

    def __init__(self, model: AdaptedModel, *, number: int, backward: bool) -> None:
        self.passes = 0
        self._number = number
        self._backward = backward
        model.base.model.model.layers[0].register_forward_hook(self._check)

    def _check(self, _: torch.nn.Module, __: tuple[Any, ...], output: Any) -> None:
        self.passes += 1
        if self.passes != self._number:
            return
        hidden = output[0] if isinstance(output, tuple) else output
        if self._backward and hidden.requires_grad:
            hidden.register_hook(self._fail)
        else:
            self._fail()

    def _fail(self, _: object = None) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")


class KeptMemory:
    """Stands for memory that holds what some layers keep for the backward pass, but not all of them at once."""

    def __init__(self, model: AdaptedModel, *, layers: int) -> None:
        self.refused = 0
        self._layers = layers
        self._kept = 0
        decoder = model.base.model.get_decoder()
        decoder.register_forward_pre_hook(self._begin)
        for layer in decoder.layers:
            layer.mlp.register_forward_hook(self._check)

    def _begin(self, *_: object) -> None:
        self._kept = 0

    def _check(self, _: torch.nn.Module, __: object, output: torch.Tensor) -> None:
        # Within a layer that will compute again, what autograd saves goes to a hook.
        hooked = torch._C._autograd._top_saved_tensors_default_hooks(False) is not None  # noqa: FBT003 - of C
        self._kept += output.requires_grad and not hooked
        if self._kept > self._layers:
            self.refused += 1
            raise torch.OutOfMemoryError("CUDA out of memory")


def require_equal(left: TrainingOutcome, right: TrainingOutcome) -> None:
    assert left.trained_tokens == right.trained_tokens
    assert [point.loss for point in left.curve] == pytest.approx([point.loss for point in right.curve], rel=1e-3)
    evaluated = [[point.metrics["Loss"] for point in one.evaluations] for one in (left, right)]
    assert evaluated[0] == pytest.approx(evaluated[1], rel=1e-3)


@BOTH
def test_rows_shrink_where_memory_runs_out_and_steps_stay_the_same(
    tiny_base: Path, objective: Mapping[str, Any], examples: Any
) -> None:
    config = configured(objective)
    model = fresh(tiny_base, config)
    space = Memory(model, 40)
    outcome = train(model, examples, config, Recorder())
    assert max(space.rows) > 40
    assert outcome.micro_batch_tokens is not None
    assert outcome.micro_batch_tokens <= 40
    require_equal(outcome, train(fresh(tiny_base, config), examples, config, Recorder()))


@BOTH
@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("number", range(1, 8))
def test_wherever_memory_runs_out_the_same_weights_come_out(
    tiny_base: Path, objective: Mapping[str, Any], examples: Any, number: int, backward: bool
) -> None:
    """Of the first passes one is the reference's, several are those of the first steps, one is of an evaluation."""
    config = configured(objective)
    plain, model = fresh(tiny_base, config), fresh(tiny_base, config)
    expected = train(plain, examples, config, Recorder())
    failing = Failing(model, number=number, backward=backward)
    outcome = train(model, examples, config, Recorder())
    assert failing.passes >= number
    checkpointed = any("gradient checkpointing was switched on" in warning for warning in outcome.warnings)
    assert checkpointed == (outcome.micro_batch_tokens == 512)
    require_equal(outcome, expected)
    for left, right in zip(plain.weights(), model.weights(), strict=True):
        assert torch.allclose(left, right, rtol=0, atol=0 if checkpointed else 1e-3)


@BOTH
def test_layers_compute_again_before_rows_shrink(tiny_base: Path, objective: Mapping[str, Any], examples: Any) -> None:
    config = configured(objective, batchSize=8)
    plain, model = fresh(tiny_base, config), fresh(tiny_base, config)
    expected = train(plain, examples, config, Recorder())
    space = KeptMemory(model, layers=1)
    outcome = train(model, examples, config, Recorder())
    assert space.refused == 1
    assert outcome.micro_batch_tokens == expected.micro_batch_tokens == 512
    (remark,) = outcome.warnings
    assert "gradient checkpointing was switched on because memory did not hold rows of" in remark
    for left, right in zip(plain.weights(), model.weights(), strict=True):
        assert torch.equal(left, right)


def test_after_a_training_layers_keep_what_they_kept_before(tiny_base: Path) -> None:
    config = configured()
    model = fresh(tiny_base, config)
    Failing(model, number=3, backward=True)
    train(model, EXAMPLES, config, Recorder())
    assert all("forward" not in vars(layer) for layer in model.base.model.get_decoder().layers)


def test_memory_may_run_out_in_an_evaluation(tiny_base: Path) -> None:
    config = configured()
    observer = Recorder()
    model = fresh(tiny_base, config)
    failed = []

    def check(*_: object) -> None:
        if observer.phases[-1] is Phase.EVALUATING and not failed:
            failed.append(len(observer.reports))
            raise torch.OutOfMemoryError("CUDA out of memory")

    model.base.model.get_decoder().register_forward_pre_hook(check)
    outcome = train(model, EXAMPLES, config, observer)
    assert failed == [3]
    require_equal(outcome, train(fresh(tiny_base, config), EXAMPLES, config, Recorder()))


@pytest.mark.parametrize("packing", ["Enabled", "Disabled"])
def test_an_example_that_memory_cannot_hold_ends_the_training(tiny_base: Path, packing: str) -> None:
    config = configured(packing=packing)
    model = fresh(tiny_base, config)
    Memory(model, 20)
    with pytest.raises(OutOfMemory, match=r"memory does not hold an example of 2\d tokens: lower .*maxSequenceLength"):
        train(model, EXAMPLES, config, Recorder())


def test_a_long_example_that_fits_does_not_stand_in_the_way_of_smaller_rows(tiny_base: Path) -> None:
    """Not the longest row may be what memory doesn't hold: logits take memory by learned tokens."""
    long = example(list(range(3, 63)), learned_from=58)
    examples = prepared((long, *examples_of(7)))
    config = configured(batchSize=8).model_copy(update={"evaluation": None})
    model = fresh(tiny_base, config)

    plain, refused = model.label_likelihoods, []

    def check(row: Row) -> Likelihoods:
        if len(row.targets) > 30:
            refused.append(len(row.targets))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(row)

    model.label_likelihoods = check
    outcome = train(model, examples, config, Recorder())
    assert len(refused) > 1
    require_equal(outcome, train(fresh(tiny_base, config), examples, config, Recorder()))


def rehearsed(model: AdaptedModel, config: TrainerConfig, examples: Any) -> RowBudget:
    with workers(model.base.device) as side_by_side:
        budget = RowBudget(model, packing=True)
        schedule = Schedule(len(examples.training), config.hyperparameters)
        passes = Passes(budget, side_by_side, Recorder())
        rehearse(objective_of(config.objective), model, examples.training, schedule, passes)
        budget.checkpointing.switch_off()
        return budget


@BOTH
def test_a_rehearsal_shrinks_rows_until_the_longest_of_the_run_fits(
    tiny_base: Path, objective: Mapping[str, Any], examples: Any
) -> None:
    config = configured(objective)
    model = fresh(tiny_base, config)
    Memory(model, 40)
    budget = rehearsed(model, config, examples)
    schedule = Schedule(len(examples.training), config.hyperparameters)
    for step in range(1, schedule.total_steps + 1):
        batch = [examples.training[position] for position in schedule.batch(step)]
        assert max(map(budget.size, budget.rows(batch))) <= 40


def test_a_rehearsal_tries_the_longest_row_of_all_steps(tiny_base: Path) -> None:
    config = configured(batchSize=2, epochs="1")
    model = fresh(tiny_base, config)
    space = Memory(model, 10_000)
    budget = rehearsed(model, config, EXAMPLES)
    schedule = Schedule(10, config.hyperparameters)
    batches = [[EXAMPLES.training[position] for position in schedule.batch(step)] for step in range(1, 6)]
    assert max(space.rows) == max(map(budget.size, batches)) > budget.size(batches[0])


@BOTH
def test_a_rehearsal_leaves_no_trace(tiny_base: Path, objective: Mapping[str, Any], examples: Any) -> None:
    config = configured(objective)
    model = fresh(tiny_base, config)
    weights = [weight.detach().clone() for weight in model.weights()]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    drawn = []
    model.base.model.get_decoder().register_forward_pre_hook(lambda *_: drawn.append(torch.rand(1)))
    rehearsed(model, config, examples)
    assert drawn
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in model.weights())
    assert all(torch.equal(left, right) for left, right in zip(model.weights(), weights, strict=True))


def test_a_rehearsal_finds_an_example_that_memory_cannot_hold(tiny_base: Path) -> None:
    config = configured()
    model = fresh(tiny_base, config)
    Memory(model, 20)
    with pytest.raises(OutOfMemory, match=r"memory does not hold an example of 2\d tokens"):
        rehearsed(model, config, EXAMPLES)


def test_a_rehearsal_asks_again_which_row_is_the_longest_once_rows_are_smaller(tiny_base: Path) -> None:
    """The step with the longest row fits in halves; another step has an example that does not."""
    config = configured(batchSize=2, epochs="1")
    together, alone = (Schedule(4, config.hyperparameters).batch(step) for step in (1, 2))
    units = {position: example(range(3, 33)) for position in together}
    units |= {alone[0]: example(range(3, 37), learned_from=30), alone[1]: example(range(3, 8))}
    model = fresh(tiny_base, config)
    Memory(model, 31)
    with pytest.raises(OutOfMemory, match=r"memory does not hold an example of 34 tokens"):
        rehearsed(model, config, prepared([units[position] for position in range(4)]))
