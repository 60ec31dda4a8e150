"""An attempt within this process: what leads to another outcome than the usual one."""

import io
import json
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from adapter_contract import (
    AdapterManifest,
    ExitCode,
    ExpectedInputs,
    MountTable,
    Phase,
    RunRecord,
    S3Location,
    StoredManifest,
    TrainerConfig,
    TrainerResult,
    sha256_bytes,
)
from adapter_contract.layout import RunKey
from adapter_contract.s3 import open_store
from adapter_contract.verify import verify_artifact
from adapter_testing.trainer_lab import trainer_config, write_chats
from adapter_trainer.attempt import Attempt
from adapter_trainer.environment import Configuration, Environment
from adapter_trainer.errors import BadConfiguration, BadData, InputMissing, Interrupted
from adapter_trainer.reporting.logs import LineStream
from adapter_trainer.reporting.reporter import ProgressReporter
from adapter_trainer.stopping import StopRequest
from adapter_trainer.training.observer import StepReport

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning"),  # PEFT asks for it
]


class EventfulReporter(ProgressReporter):
    """Lets something happen at the very moment of a phase, or of a step."""

    def __init__(self, *, run: int, attempt: int, lines: LineStream) -> None:
        super().__init__(run=run, attempt=attempt, lines=lines)
        self.happens: dict[Phase | int, Callable[[], None]] = {}

    def phase(self, phase: Phase) -> None:
        super().phase(phase)
        self.happens.pop(phase, _nothing)()

    def step(self, report: StepReport) -> None:
        super().step(report)
        self.happens.pop(report.step, _nothing)()


def _nothing() -> None:
    """What happens otherwise."""


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Lab:
    """Makes attempts in a directory of their own."""

    def __init__(self, directory: Path, base: Path) -> None:
        self.directory = directory
        self.store = S3Location(uri=f"file://{directory}/store")
        self.stop = StopRequest()
        self.reporter = EventfulReporter(run=1, attempt=1, lines=LineStream(io.StringIO()))
        self._base = base
        self._data = write_chats(directory / "train.jsonl", 12)

    def config(self, **changes: Any) -> TrainerConfig:
        """Return a configuration of one epoch."""
        data = {"type": "Path", "path": str(self._data)}
        config = trainer_config(dataset=data, base_model=self._base, output=self.store, **changes)
        short = config.hyperparameters.model_copy(update={"epochs": "1"})
        return config.model_copy(update={"hyperparameters": short})

    def attempt(self, config: TrainerConfig) -> Attempt:
        environment = Environment(
            config_file=self.directory / "unused",
            work_directory=self.directory / "work",
            attempt=1,
            bind_address="127.0.0.1",
            management_port=0,
            mounts=MountTable(),
        )
        return Attempt(Configuration(config, config), environment, self.reporter, self.stop)

    def published(self, result: TrainerResult) -> StoredManifest:
        """Verify what a result names, where it lies."""
        assert result.uri is not None
        return verify_artifact(Path(result.uri.removeprefix("file://")), expected=result.digest)


@pytest.fixture
def lab(tmp_path: Path, tiny_base: Path) -> Iterator[Lab]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Lab(tmp_path, tiny_base)
    torch.set_num_threads(threads)


def expected(manifest: AdapterManifest, **changes: str) -> Mapping[str, Any]:
    """What preflight would have found of the inputs of an adapter."""
    assert manifest.record is not None
    found = ExpectedInputs(
        dataset_digest=manifest.record.dataset.digest,
        evaluation_digest=manifest.evaluation_digest,
        base_digest=manifest.base_model.digest,
        parent_digest=manifest.parent_digest,
        input_digest=manifest.input_digest or "",
    )
    return {"mode": "Enforce", "expected": found.model_dump(mode="json", by_alias=True, exclude_none=True) | changes}


def test_inputs_as_preflight_saw_them_are_trained_on_and_others_are_not(lab: Lab) -> None:
    first = lab.published(lab.attempt(lab.config()).run()).manifest
    second_run = lab.config().run.model_copy(update={"number": 2})
    held = lab.config(preflight=expected(first)).model_copy(update={"run": second_run})
    assert lab.published(lab.attempt(held).run()).manifest.input_digest == first.input_digest

    other = sha256_bytes(b"other")
    third_run = lab.config().run.model_copy(update={"number": 3})
    refused = lab.config(preflight=expected(first, evaluationDigest=other)).model_copy(update={"run": third_run})
    attempt = lab.attempt(refused)
    with pytest.raises(BadData, match=r"^preflight\.expected: the set of held-out examples") as caught:
        attempt.run()
    told = attempt.failed(caught.value)
    assert (told.exit_code, told.input_digest) == (ExitCode.BAD_DATA, first.input_digest)
    assert told.resumed_from_step is None


def test_it_goes_on_from_an_earlier_adapter(lab: Lab) -> None:
    first = lab.attempt(lab.config()).run()
    reference = {
        "name": "support-bot",
        "digest": first.digest,
        "location": {"uri": first.uri, "addressingStyle": "Auto"},
    }
    run = lab.config().run.model_copy(update={"number": 2})
    second = lab.attempt(lab.config(initializeFrom=reference).model_copy(update={"run": run})).run()
    manifest = lab.published(second).manifest
    assert second.parent_digest == manifest.parent_digest == first.digest
    assert second.input_digest != first.input_digest
    assert second.digest != first.digest


def test_it_is_measured_on_data_of_their_own(lab: Lab) -> None:
    path = write_chats(lab.directory / "evaluation.jsonl", 3, seed=1)
    source = {"type": "Path", "path": str(path)}
    evaluation = {"holdout": {"type": "Source", "source": source}, "metrics": ["Loss"]}
    manifest = lab.published(lab.attempt(lab.config(evaluation=evaluation)).run()).manifest
    assert manifest.record is not None
    assert (manifest.record.dataset.examples, manifest.record.dataset.evaluation_examples) == (12, 3)
    assert set(manifest.metrics) == {"Loss"}


def test_without_evaluation_there_are_no_metrics(lab: Lab) -> None:
    result = lab.attempt(lab.config(evaluation=None)).run()
    assert (result.metrics, result.evaluation_digest) == ({}, None)
    assert "held-out" not in (Path((result.uri or "").removeprefix("file://")) / "README.md").read_text()


def test_the_step_whose_weights_are_kept_is_logged(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    holdout = {"type": "Percent", "percent": "20"}
    evaluation = {"holdout": holdout, "metrics": ["Loss"], "intervalSteps": 1, "selectBest": {"metric": "Loss"}}
    result = lab.attempt(lab.config(evaluation=evaluation)).run()
    curves = Path((result.uri or "").removeprefix("file://")) / "training-curve.json"
    points = json.loads(curves.read_text())["points"]
    best = min(points, key=lambda point: point["evaluation"]["Loss"])
    assert f"the best of {len(points)} steps is step {best['step']}: its weights are kept" in caplog.messages


def test_what_an_earlier_container_left_is_removed(lab: Lab) -> None:
    left = lab.directory / "work/attempt/dataset/old.jsonl"
    left.parent.mkdir(parents=True)
    left.touch()
    (lab.directory / "train.jsonl").unlink()
    with pytest.raises(InputMissing, match=r"^dataset\.source: cannot read the dataset at .*train\.jsonl"):
        lab.attempt(lab.config()).run()
    assert not left.exists()


def test_what_is_remarkable_about_the_examples_is_logged(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "seven boats " * 100}]
    with (lab.directory / "train.jsonl").open("a") as stream:
        stream.write(json.dumps({"messages": messages}) + "\n")
    lab.attempt(lab.config()).run()
    assert any(text.startswith("1 examples are longer than 128 tokens and were cut") for text in caplog.messages)


def test_what_this_release_can_not_train_is_refused_before_anything_is_touched(lab: Lab) -> None:
    halves = {"type": "NF4", "computeType": "Float16", "doubleQuantization": "Enabled"}
    with pytest.raises(BadConfiguration, match=r"quantization\.computeType"):
        lab.attempt(lab.config(quantization=halves)).run()
    assert not (lab.directory / "store").exists()


def test_another_attempt_that_was_faster_counts(lab: Lab) -> None:
    config = lab.config()
    theirs = TrainerResult(run=1, attempt=9, exit_code=ExitCode.DONE, digest=sha256_bytes(b"theirs"))
    record = RunRecord(training=config.training, run=config.run, result=theirs)

    def record_theirs() -> None:
        with open_store(lab.store) as store:
            store.put_if_absent(RunKey("support-bot", config.training.uid, 1).key, record.to_json())

    lab.reporter.happens[Phase.TRAINING] = record_theirs
    result = lab.attempt(config).run()
    assert (result.digest, result.reused, result.attempt) == (theirs.digest, True, 1)


@pytest.fixture
def signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGTERM, before[0])
    signal.signal(signal.SIGINT, before[1])


@pytest.mark.usefixtures("signals")
def test_a_stop_while_it_trains_is_told_honestly(lab: Lab) -> None:
    lab.stop.install()
    attempt = lab.attempt(lab.config())
    lab.reporter.happens[1] = terminate
    with pytest.raises(Interrupted, match=r"^stopped by SIGTERM; nothing was saved") as caught:
        attempt.run()
    told = attempt.failed(caught.value)
    assert (told.exit_code, told.resumed_from_step, told.last_saved_step) == (ExitCode.INTERRUPTED, 0, None)


@pytest.mark.usefixtures("signals")
def test_a_stop_that_comes_with_the_result_does_not_cost_it(lab: Lab) -> None:
    lab.stop.install()
    lab.reporter.happens[Phase.UPLOADING] = terminate
    assert lab.published(lab.attempt(lab.config()).run()).digest
    assert lab.stop.requested
