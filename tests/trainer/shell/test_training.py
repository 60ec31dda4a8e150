"""A whole attempt as a process, against a real S3 store: what it tells, writes, publishes and leaves."""

import http.client
import json
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapter_contract import (
    ByInputPointer,
    ExitCode,
    Phase,
    Progress,
    RunRecord,
    S3Location,
    TrainerConfig,
    TrainerResult,
    input_digest,
    sha256_bytes,
)
from adapter_contract.layout import ByInputKey, RunKey, parse_artifact_uri
from adapter_contract.s3 import LocalModel, base_digest, fetch_artifact, open_store, upload_directory
from adapter_contract.verify import verify_artifact
from adapter_testing.seaweedfs import SeaweedFS
from adapter_testing.trainer_lab import BASE_NAME, Ended, TrainerProcess, chats, s3_source, trainer_config

pytestmark = pytest.mark.integration

EXAMPLES = chats(24)


class Watcher(threading.Thread):
    """Starts a trainer, reads its log, and follows its stream of progress as soon as the log names the port."""

    def __init__(self, pod: TrainerProcess) -> None:
        super().__init__(daemon=True)
        self.process = pod.start()
        self.read = ""
        self.events: list[Progress] = []
        self.health = b""
        self._port = self._find_port()
        self.start()

    def _find_port(self) -> int:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            self.read += line
            document = json.loads(line)
            if "port" in document:
                return int(document["port"])
        raise AssertionError(f"it ended before it listened: {self.read}")

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        connection.request("GET", "/healthz")
        self.health = connection.getresponse().read()
        connection.request("GET", "/v1/progress", headers={"Accept": "text/event-stream"})
        for line in connection.getresponse():
            if line.startswith(b"data: "):
                self.events.append(Progress.from_json(line.removeprefix(b"data: ")))
        connection.close()


@dataclass(frozen=True)
class Trained:
    """A run that succeeded."""

    config: TrainerConfig
    pod: TrainerProcess
    ended: Ended
    watcher: Watcher
    output: S3Location


@pytest.fixture(scope="module")
def trained(seaweedfs: SeaweedFS, secret: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    store = seaweedfs.location("end-to-end", secret=secret)
    with open_store(store) as opened:
        opened.put("data/train/part-1.jsonl", EXAMPLES)
        upload_directory(opened, tiny_base, "models/tiny")
    config = trainer_config(
        dataset=s3_source(store.below("data/train/")),
        base_model="/unused",
        output=store.below("out"),
        baseModel={"name": BASE_NAME, "source": s3_source(store.below("models/tiny")), "revision": "main"},
    )
    pod = TrainerProcess(tmp_path_factory.mktemp("pod"), config)
    watcher = Watcher(pod)
    ended = pod.end(read_before=watcher.read)
    watcher.join(10)
    return Trained(config, pod, ended, watcher, store.below("out"))


def test_it_ends_well_and_says_so(trained: Trained) -> None:
    ended, result = trained.ended, trained.ended.result
    assert ended.exit_code == result.exit_code == ExitCode.DONE, ended.stdout
    assert ended.stderr == ""
    assert (result.run, result.attempt, result.reused, result.resumed_from_step) == (1, 1, False, 0)
    assert set(result.metrics) == {"Loss", "Perplexity"}
    assert result.usage is not None
    assert result.usage.trained_tokens > 0
    assert result.usage.gpu_seconds == 0
    assert TrainerResult.from_object(ended.documents[-1]) == result


def test_it_tells_its_progress_in_the_log_and_on_the_stream(trained: Trained) -> None:
    phases = [one.phase for one in trained.ended.progress]
    assert phases[0] is Phase.LOADING
    assert phases[-1] is Phase.UPLOADING
    assert {Phase.TRAINING, Phase.EVALUATING} < set(phases)
    last = trained.ended.progress[-1]
    assert (last.step, last.percent, last.epoch) == (last.total_steps, 100, 2.0)
    assert last.eval_loss == pytest.approx(float(trained.ended.result.metrics["Loss"]))
    assert trained.watcher.health == b'{"status": "ok"}'
    assert trained.watcher.events[0].phase is Phase.LOADING
    assert trained.watcher.events[-1] == last
    steps = [one.step for one in trained.watcher.events]
    assert steps == sorted(steps)


def test_no_library_advertises_in_the_log(trained: Trained) -> None:
    loggers = {line["logger"].partition(".")[0] for line in trained.ended.documents if "logger" in line}
    assert loggers <= {"adapter_trainer", "adapter_contract"}
    assert "kernels" not in trained.ended.stdout


def test_what_it_published_is_verified_and_complete(trained: Trained, tiny_base: Path, tmp_path: Path) -> None:
    result = trained.ended.result
    assert result.uri is not None
    assert result.digest is not None
    output_uri, key = parse_artifact_uri(result.uri)
    assert output_uri == trained.output.uri
    with open_store(trained.output) as store:
        fetch_artifact(store, key.key, result.digest, tmp_path / "adapter")
    manifest = verify_artifact(tmp_path / "adapter", expected=result.digest).manifest
    assert manifest.metrics == result.metrics
    assert manifest.summary == result.summary
    assert (manifest.base_model.name, manifest.base_model.revision) == (BASE_NAME, "main")
    assert manifest.base_model.digest == result.base_digest == base_digest(LocalModel(tiny_base))
    assert manifest.input_digest == result.input_digest
    assert manifest.evaluation_digest == result.evaluation_digest
    assert [token.text for token in manifest.prompt_format.stop_tokens] == ["<|im_end|>"]
    template = (tiny_base / "chat_template.jinja").read_bytes()
    assert manifest.prompt_format.chat_template_digest == sha256_bytes(template)
    record = manifest.record
    assert record is not None
    assert record.dataset.uri == f"{trained.output.uri.removesuffix('/out')}/data/train/"
    assert record.dataset.digest == result.dataset_digest
    assert (record.dataset.examples, record.dataset.evaluation_examples) == (19, 5)
    assert record.steps == 10
    assert record.device
    assert record.libraries["torch"]
    curve = json.loads((tmp_path / "adapter/training-curve.json").read_text())["points"]
    assert [point["step"] for point in curve] == list(range(1, 11))
    assert curve[-1]["evaluation"]["Loss"] == pytest.approx(float(result.metrics["Loss"]))


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # PEFT asks for it
def test_peft_loads_it_on_its_base(trained: Trained, tiny_base: Path, tmp_path: Path) -> None:
    import torch  # noqa: PLC0415 - slow to import
    from peft import PeftModel  # noqa: PLC0415 - slow to import
    from transformers import AutoModelForCausalLM  # noqa: PLC0415 - slow to import

    result = trained.ended.result
    assert result.uri is not None
    assert result.digest is not None
    with open_store(trained.output) as store:
        fetch_artifact(store, parse_artifact_uri(result.uri)[1].key, result.digest, tmp_path / "adapter")
    base = AutoModelForCausalLM.from_pretrained(tiny_base)
    tokens = torch.tensor([[5, 6, 7]])
    before = base(tokens).logits.detach()
    after = PeftModel.from_pretrained(base, tmp_path / "adapter")(tokens).logits.detach()
    assert not torch.equal(before, after)


def test_record_and_pointer_lead_to_it(trained: Trained) -> None:
    result, config = trained.ended.result, trained.config
    assert result.input_digest == input_digest(
        recipe_hash=config.run.recipe_hash,
        dataset_digest=result.dataset_digest or "",
        evaluation_digest=result.evaluation_digest,
        base_digest=result.base_digest or "",
        parent_digest=None,
    )
    with open_store(trained.output) as store:
        record = RunRecord.from_json(store.get(RunKey("support-bot", config.training.uid, 1).key))
        pointer = ByInputPointer.from_json(store.get(ByInputKey("support-bot", result.input_digest).key))
    assert record.result == result
    assert pointer.digest == result.digest


def test_the_same_run_again_only_reports(trained: Trained, tmp_path: Path) -> None:
    again = TrainerProcess(tmp_path / "pod", trained.config, attempt=2).end()
    first = trained.ended.result
    assert again.exit_code == ExitCode.DONE
    assert (again.result.digest, again.result.uri, again.result.metrics) == (first.digest, first.uri, first.metrics)
    assert (again.result.reused, again.result.attempt) == (True, 2)
    assert {one.phase for one in again.progress} == {Phase.LOADING}


def test_secrets_stand_nowhere(trained: Trained, seaweedfs: SeaweedFS, tmp_path: Path) -> None:
    ended = trained.ended
    written = {"log": ended.stdout.encode(), "errors": ended.stderr.encode(), "end": ended.termination_message.encode()}
    with open_store(trained.output) as store:
        written |= {found.key: store.get(found.key) for found in store.list_objects("")}
    pod = Path(trained.pod.environment["HOME"])
    written |= {str(path): path.read_bytes() for path in pod.rglob("*") if path.is_file()}
    assert len(written) > 12
    for secret in (seaweedfs.admin.secret_key, seaweedfs.admin.access_key):
        assert [name for name, data in written.items() if secret.encode() in data] == []


def test_paths_of_the_machine_stand_in_no_record(trained: Trained, tiny_base: Path) -> None:
    pod = trained.pod.environment["HOME"]
    with open_store(trained.output) as store:
        found = [one.key for one in store.list_objects("") if pod.encode() in store.get(one.key)]
    assert found == []
