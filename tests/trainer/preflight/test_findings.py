"""Each bad thing has its code, its exit code and words that name the field; and none hides another."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from adapter_contract import ExitCode, Owner, PreflightReport, sha256_bytes
from adapter_testing.preflight_lab import Break, PreflightWorld, chat, codes, edit_json
from adapter_testing.trainer_lab import chats
from adapter_trainer.preflight.codes import Code, Severity

pytestmark = pytest.mark.integration

OTHER_DIGEST = sha256_bytes(b"other")


def found(report: PreflightReport, code: str) -> Any:
    return next(finding for finding in (*report.errors, *report.warnings) if finding.code == code)


def test_there_is_nothing_to_say_about_a_good_run(world: PreflightWorld) -> None:
    report = world.check()
    assert report.exit_code == ExitCode.DONE
    assert codes(report) == (set(), set())
    assert report.examples == 560
    assert report.evaluation_examples == 140
    assert report.truncated_examples == report.examples_without_label == 0
    assert report.reused is None
    assert list(world.output.rglob("*")) != []
    assert not list(world.output.rglob("write-probe"))


def _drop_tensor(world: PreflightWorld, name: str) -> None:
    path = world.base / "model.safetensors"
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path)


def _cut_weights(world: PreflightWorld) -> None:
    path = world.base / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


def _missing_shard(world: PreflightWorld) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (world.base / "model.safetensors").rename(world.base / "model-00001-of-00002.safetensors")
    edit = world.base / "model.safetensors.index.json"
    edit.write_text("{}")
    edit_json(edit, index)


def _claimed_by_another(world: PreflightWorld) -> None:
    owner = world.output / "support-bot" / "owner.json"
    owner.parent.mkdir(parents=True)
    owner.write_bytes(Owner(cluster="test", namespace="team-b", name="support-bot").to_json())


def _without_template(world: PreflightWorld) -> None:
    (world.base / "chat_template.jinja").unlink()


def _nothing_within_length(world: PreflightWorld) -> None:
    world.change(hyperparameters={"maxSequenceLength": 2})


def _some_unusable(world: PreflightWorld) -> None:
    world.append(*[chat("who " * 140 + str(number), "me.") for number in range(60)])


ERRORS: list[tuple[str, Break, set[str], ExitCode, str]] = [
    (
        "unsupported number",
        lambda world: world.change(hyperparameters={"epochs": "0", "warmup": "2"}),
        {"RecipeUnsupported"},
        ExitCode.BAD_CONFIGURATION,
        "hyperparameters.epochs",
    ),
    (
        "generation config",
        lambda world: (world.base / "generation_config.json").write_text("{"),
        {"TokenizerInvalid"},
        ExitCode.BAD_CONFIGURATION,
        "generation_config.json",
    ),
    (
        "target modules",
        lambda world: world.change(method={"targetModules": ["q_prj"]}),
        {"TargetModulesInvalid"},
        ExitCode.BAD_CONFIGURATION,
        "method.lora.targetModules",
    ),
    ("no dataset", lambda world: world.data.unlink(), {"DatasetNotFound"}, ExitCode.INPUT_MISSING, "dataset.source"),
    (
        "empty dataset",
        lambda world: world.data.write_text("\n"),
        {"NothingToLearn"},
        ExitCode.BAD_DATA,
        "train.jsonl",
    ),
    (
        "dataset pin",
        lambda world: world.change(dataset={"digest": OTHER_DIGEST}),
        {"DatasetDigestMismatch"},
        ExitCode.BAD_DATA,
        "dataset.digest",
    ),
    (
        "wrong columns",
        lambda world: world.rows([{"question": "a", "answer": "b"}] * 3),
        {"DatasetUnreadable"},
        ExitCode.BAD_DATA,
        "dataset.columns",
    ),
    (
        "bad lines",
        lambda world: world.append("{", '{"messages": []}', chat("fine", "yes")),
        {"ExamplesInvalid"},
        ExitCode.BAD_DATA,
        "train.jsonl line 701",
    ),
    (
        "too many unusable",
        _some_unusable,
        {"TooManyUnusableExamples"},
        ExitCode.BAD_DATA,
        "dataset.unusableExamples.maxPercent",
    ),
    (
        "nothing to learn",
        _nothing_within_length,
        {"TooManyUnusableExamples"},
        ExitCode.BAD_DATA,
        "hyperparameters.maxSequenceLength",
    ),
    (
        "one example to hold out of",
        lambda world: world.rows([chat("a", "b")]),
        {"TooFewToHoldOut"},
        ExitCode.BAD_DATA,
        "evaluation.holdout.percent",
    ),
    ("no template", _without_template, {"ChatTemplateMissing"}, ExitCode.BAD_CONFIGURATION, "chat template"),
    (
        "no evaluation set",
        lambda world: world.change(
            evaluation={"holdout": {"type": "Source", "source": {"type": "Path", "path": "/no/such/file"}}}
        ),
        {"DatasetNotFound"},
        ExitCode.INPUT_MISSING,
        "evaluation.holdout.source",
    ),
    (
        "no base model",
        lambda world: world.change(baseModel={"source": {"type": "Path", "path": "/no/such/base"}}),
        {"BaseModelNotFound"},
        ExitCode.INPUT_MISSING,
        "baseModel.source",
    ),
    (
        "no config.json",
        lambda world: (world.base / "config.json").unlink(),
        {"BaseModelNotFound"},
        ExitCode.INPUT_MISSING,
        "config.json",
    ),
    (
        "config.json",
        lambda world: (world.base / "config.json").write_text("{"),
        {"BaseModelUnsupported"},
        ExitCode.BAD_CONFIGURATION,
        "config.json",
    ),
    ("missing shard", _missing_shard, {"BaseModelNotFound"}, ExitCode.INPUT_MISSING, "model-00002-of-00002"),
    ("cut weights", _cut_weights, {"BaseModelDamaged"}, ExitCode.BAD_DATA, "copy the file again"),
    (
        "missing weights",
        lambda world: _drop_tensor(world, "model.embed_tokens.weight"),
        {"BaseModelUnsupported"},
        ExitCode.BAD_CONFIGURATION,
        "no token embeddings",
    ),
    (
        "pickled weights",
        lambda world: (world.base / "model.safetensors").rename(world.base / "pytorch_model.bin"),
        {"BaseModelUnsupported"},
        ExitCode.BAD_CONFIGURATION,
        "no safetensors file",
    ),
    (
        "experts",
        lambda world: world.change_base(model_type="mixtral", num_local_experts=8),
        {"BaseModelUnsupported"},
        ExitCode.BAD_CONFIGURATION,
        "experts",
    ),
    (
        "base pin",
        lambda world: world.change(baseModel={"digest": OTHER_DIGEST}),
        {"BaseModelDigestMismatch"},
        ExitCode.BAD_DATA,
        "baseModel.digest",
    ),
    (
        "tokenizer",
        lambda world: (world.base / "tokenizer.json").write_text("{}"),
        {"TokenizerInvalid"},
        ExitCode.BAD_CONFIGURATION,
        "tokenizer",
    ),
    (
        "no parent",
        lambda world: world.change(
            initializeFrom={
                "name": "before",
                "digest": OTHER_DIGEST,
                "location": {"uri": f"file://{world.directory}/nothing"},
            }
        ),
        {"ParentNotFound"},
        ExitCode.INPUT_MISSING,
        "initializeFrom",
    ),
    ("output in use", _claimed_by_another, {"OutputInUse"}, ExitCode.BAD_CONFIGURATION, "team-b/support-bot"),
]


@pytest.mark.parametrize(
    ("breaks", "expected", "exit_code", "words"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS]
)
def test_each_bad_thing_has_its_code(
    breaks: Break, expected: set[str], exit_code: ExitCode, words: str, world: PreflightWorld
) -> None:
    breaks(world)
    report = world.check()
    assert codes(report)[0] == expected
    assert report.exit_code == exit_code
    assert words in " ".join(finding.message for finding in report.errors)
    assert report.input_digest is None or report.exit_code in {ExitCode.BAD_DATA, ExitCode.BAD_CONFIGURATION}


@contextmanager
def modes_count() -> Iterator[None]:
    """Let files' modes hold for root, too: this thread does without its capabilities (see capset(2)) for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    held = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable ones, in two halves of 32
    assert libc.capget(header, held) == 0
    fewer = (ctypes.c_uint32 * 6)(0, held[1], held[2], 0, held[4], held[5])
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, held) == 0


def test_an_output_that_is_read_only(world: PreflightWorld) -> None:
    world.output.mkdir(mode=0o500)
    with modes_count():
        report = world.check()
    assert codes(report)[0] == {"OutputAccessDenied"}
    assert report.exit_code == ExitCode.PERMISSION


def test_several_bad_things_are_all_found(world: PreflightWorld) -> None:
    for name in ("bad lines", "target modules", "unsupported number", "base pin", "output in use", "no parent"):
        next(case for case in ERRORS if case[0] == name)[1](world)
    report = world.check()
    assert codes(report)[0] == {
        "ExamplesInvalid",
        "TargetModulesInvalid",
        "RecipeUnsupported",
        "BaseModelDigestMismatch",
        "OutputInUse",
        "ParentNotFound",
    }
    assert report.exit_code == ExitCode.BAD_CONFIGURATION


def test_what_depends_on_something_broken_is_skipped_and_the_rest_is_not(world: PreflightWorld) -> None:
    (world.base / "tokenizer.json").write_text("{}")
    world.append("{", '{"messages": "hello"}')
    report = world.check()
    errors, warnings = codes(report)
    assert errors == {"TokenizerInvalid", "ExamplesInvalid"}
    assert warnings == {"CheckSkipped"}
    assert found(report, "ExamplesInvalid").count == 2
    assert "the base model's tokenizer could not be loaded" in found(report, "CheckSkipped").message
    assert report.base_digest is not None
    assert report.dataset_digest is not None
    assert report.evaluation_digest is report.input_digest is None


def test_bad_rows_are_counted_and_shown_and_leave_no_digest_of_what_is_evaluated(world: PreflightWorld) -> None:
    world.append(*["{"] * 20)
    report = world.check()
    finding = found(report, "ExamplesInvalid")
    assert finding.count == 20
    assert "line 701" in finding.message
    assert "line 708" in finding.message
    assert "and 12 more" in finding.message
    assert report.dataset_digest is not None
    assert report.evaluation_digest is report.input_digest is report.examples is None


@pytest.mark.parametrize("data", ["{\n" * 20, '{"text": "a"}\n{\n'])
def test_what_bad_rows_alone_lead_to_is_no_finding_of_its_own(world: PreflightWorld, data: str) -> None:
    world.data.write_text(data)
    assert codes(world.check())[0] == {"ExamplesInvalid"}


def test_a_file_of_another_type_is_a_matter_of_configuration(world: PreflightWorld) -> None:
    other = world.data.rename(world.data.with_name("train.txt"))
    world.change(dataset={"source": {"type": "Path", "path": str(other)}})
    report = world.check()
    assert report.exit_code == ExitCode.BAD_CONFIGURATION
    assert "train.txt is of a type that can't be read" in found(report, "DatasetUnsupported").message


WARNINGS: list[tuple[str, Break, str, int | None, str]] = [
    ("few", lambda world: world.data.write_bytes(chats(100)), "FewExamples", 80, "fewer than 500"),
    (
        "dropped",
        lambda world: world.append(chat("who " * 140, "me.")),
        "ExamplesDropped",
        1,
        "will be left out",
    ),
    (
        "truncated",
        lambda world: world.append(chat("who?", "me. " * 140)),
        "ExamplesTruncated",
        1,
        "hyperparameters.maxSequenceLength (128)",
    ),
    ("answer cut", lambda world: world.append(chat("who?", "me. " * 140)), "AnswersTruncated", 1, "lose the end"),
    (
        "duplicates",
        lambda world: world.append(*[chat("where?", "here.")] * 40),
        "DuplicateExamples",
        39,
        "stand there before",
    ),
    (
        "less than one batch",
        lambda world: world.change(hyperparameters={"batchSize": 4096}),
        "LessThanOneBatch",
        560,
        "hyperparameters.batchSize",
    ),
    (
        "evaluation larger than training",
        lambda world: world.change(evaluation={"holdout": {"type": "Percent", "percent": "60"}}),
        "EvaluationLargerThanTraining",
        420,
        "hold out fewer",
    ),
    ("other family", lambda world: world.change_base(model_type="olmo2"), "BaseModelRemark", None, "olmo2"),
]


@pytest.mark.parametrize(
    ("breaks", "code", "count", "words"), [case[1:] for case in WARNINGS], ids=[case[0] for case in WARNINGS]
)
def test_each_remarkable_thing_is_a_warning(
    breaks: Break, code: str, count: int | None, words: str, world: PreflightWorld
) -> None:
    breaks(world)
    report = world.check()
    assert report.errors == ()
    assert report.exit_code == ExitCode.DONE
    assert report.input_digest is not None
    finding = found(report, code)
    assert finding.count == count
    assert words in finding.message


def _evaluate_on(world: PreflightWorld, data: bytes) -> None:
    path = world.directory / "data" / "evaluation.jsonl"
    path.write_bytes(data)
    world.change(evaluation={"holdout": {"type": "Source", "source": {"type": "Path", "path": str(path)}}})


def test_examples_that_are_evaluated_on_and_learned_are_a_leak(world: PreflightWorld) -> None:
    _evaluate_on(world, world.data.read_bytes()[: world.data.read_bytes().index(b"\n") + 1] + chats(20, seed=9))
    leak = found(world.check(), "EvaluationLeak")
    assert leak.count == 1
    assert "evaluation.holdout" in leak.message


def test_a_dataset_to_evaluate_on_of_its_own_that_is_clean(world: PreflightWorld) -> None:
    _evaluate_on(world, chats(20, seed=9))
    report = world.check()
    assert codes(report) == (set(), set())
    assert (report.examples, report.evaluation_examples) == (700, 20)


def test_modes_decide_whether_errors_stop_the_run(world: PreflightWorld) -> None:
    world.data.unlink()
    world.change(preflight={"mode": "Warn"})
    report = world.check()
    assert codes(report)[0] == {"DatasetNotFound"}
    assert report.exit_code == ExitCode.DONE


def test_the_work_directory_may_be_that_of_a_preflight_before(world: PreflightWorld) -> None:
    assert world.check() == world.check()


def test_every_code_has_a_meaning_of_its_own() -> None:
    assert len({code.value.text for code in Code}) == len(Code.__members__) == len(list(Code))
    for code in Code:
        assert code.value.text.endswith(".")
        assert (code.value.severity is Severity.ERROR) == (code.value.exit_code is not None)
