"""The directory that is published, its manifest and its model card."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_contract import AdapterFacts, AdapterManifest, TrainerConfig
from adapter_contract.verify import ArtifactRefused, verify_artifact
from adapter_testing.trainer_lab import BASE_NAME
from adapter_trainer.inputs.digests import KnownDigests
from adapter_trainer.publishing.artifact import complete_artifact
from adapter_trainer.publishing.manifest import Circumstances, build_manifest
from adapter_trainer.publishing.model_card import model_card
from adapter_trainer.publishing.trained import Trained

pytestmark = pytest.mark.unit

Make = Callable[[str], Path]


def test_it_is_what_every_reader_accepts(
    adapter: Make, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> None:
    directory = adapter("one")
    stored = complete_artifact(directory, config, digests, trained, circumstances)
    assert verify_artifact(directory, expected=stored.digest).manifest == stored.manifest
    assert [entry.path for entry in stored.manifest.files] == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "training-curve.json",
    ]


def test_the_manifest_tells_all_that_is_known(
    adapter: Make, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> None:
    manifest = complete_artifact(adapter("one"), config, digests, trained, circumstances).manifest
    assert manifest.origin == "Trained"
    assert (manifest.base_model.name, manifest.base_model.digest) == (BASE_NAME, digests.base)
    assert (manifest.adapter, manifest.prompt_format) == (trained.facts, trained.prompt_format)
    assert manifest.metrics == {"Loss": "1.25"}  # an infinite perplexity has no decimal form
    assert manifest.evaluation_digest == digests.evaluation
    assert manifest.input_digest == digests.inputs
    assert manifest.parent_digest is None
    assert manifest.created_time == circumstances.end_time
    record = manifest.record
    assert record is not None
    assert (record.training, record.run, record.lineage) == (config.training, config.run, config.lineage)
    assert (record.method, record.hyperparameters) == (config.method, config.hyperparameters)
    assert (record.quantization, record.objective) == (config.quantization, config.objective)
    assert record.dataset.model_dump() == {
        "uri": "/adapter/dataset/train.jsonl",
        "digest": digests.dataset,
        "evaluationDigest": digests.evaluation,
        "examples": 16,
        "evaluationExamples": 4,
        "droppedExamples": 1,
        "tokens": 400,
        "labelledTokens": 120,
    }
    assert (record.steps, record.device, record.device_count, record.gpu_seconds) == (8, "a CPU", 0, 0)
    assert (record.start_time, record.end_time) == (circumstances.start_time, circumstances.end_time)
    assert record.libraries == {"torch": "2.13.0"}


def test_the_curve_is_json_whatever_was_measured(
    adapter: Make, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> None:
    directory = adapter("one")
    complete_artifact(directory, config, digests, trained, circumstances)
    curve = json.loads((directory / "training-curve.json").read_text())
    assert curve == {"points": [{"step": 1, "loss": 2.5}, {"step": 2, "loss": None}]}


def test_equal_things_have_equal_bytes(
    adapter: Make, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> None:
    one, two = (complete_artifact(adapter(name), config, digests, trained, circumstances) for name in ("one", "two"))
    assert one.digest == two.digest


def test_what_no_reader_would_take_is_not_published(
    adapter: Make, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> None:
    directory = adapter("one")
    (directory / "adapter_config.json").write_text('{"base_model_name_or_path": "/tmp/somewhere"}')
    with pytest.raises(ArtifactRefused, match="BaseModelMismatch"):
        complete_artifact(directory, config, digests, trained, circumstances)


def test_without_all_digests_there_is_no_manifest(
    config: TrainerConfig, trained: Trained, circumstances: Circumstances
) -> None:
    with pytest.raises(ValueError, match="before the digests of its inputs are known"):
        build_manifest(config, KnownDigests(), trained, circumstances, ())


@pytest.fixture
def manifest(
    adapter: Make, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> AdapterManifest:
    return complete_artifact(adapter("for-card"), config, digests, trained, circumstances).manifest


def test_the_card_has_the_hubs_header_and_the_facts(manifest: AdapterManifest) -> None:
    card = model_card(manifest)
    assert card.startswith(f'---\nbase_model: "{BASE_NAME}"\nlibrary_name: peft\n')
    assert "# support-bot\n\nA QLoRA adapter for `tests/tiny-llama`, made by run 1" in card
    assert "On 4 held-out examples, `sha256:" in card
    for row in (
        "| Loss | 1.25 |",
        "| dataset | `/adapter/dataset/train.jsonl` |",
        "| adapted modules | `q_proj`, `v_proj` |",
        "| rank of the files | 4 |",
        "| method.rank | `4` |",
        "| method.targetModules | `all-linear` |",
        "| hyperparameters.learningRate | `1e-3` |",
        "| time | 2026-01-02T03:04:05Z to 2026-01-02T03:09:05Z |",
    ):
        assert f"\n{row}\n" in card
    assert "continues" not in card
    assert "source revision" not in card


def test_the_card_shows_what_is_optional(manifest: AdapterManifest, digests: KnownDigests) -> None:
    record = manifest.record
    assert record is not None
    lineage = record.lineage.model_copy(update={"source_revision": "9fceb02"})
    more = manifest.model_copy(
        update={
            "metrics": {},
            "parent_digest": digests.base,
            "base_model": manifest.base_model.model_copy(update={"revision": "main"}),
            "record": record.model_copy(update={"lineage": lineage}),
        }
    )
    card = model_card(more)
    assert f"| continues | `{digests.base}` |" in card
    assert "| source revision | `9fceb02` |" in card
    assert "revision `main` |" in card
    assert "How good it is" not in card


@pytest.mark.parametrize(
    ("quantization", "decomposition", "name"),
    [
        ("NF4", "Disabled", "QLoRA"),
        ("NF4", "Enabled", "QDoRA"),
        ("None", "Disabled", "LoRA"),
        ("Int8", "Enabled", "DoRA"),
    ],
)
def test_the_card_calls_the_method_by_its_name(
    manifest: AdapterManifest, quantization: str, decomposition: str, name: str
) -> None:
    record = manifest.record
    assert record is not None
    changed = record.model_copy(
        update={
            "quantization": record.quantization.model_copy(update={"type": quantization}),
            "method": record.method.model_copy(update={"weight_decomposition": decomposition}),
        }
    )
    assert f"\nA {name} adapter" in model_card(manifest.model_copy(update={"record": changed}))


def test_foreign_text_carries_no_mark_up_into_the_card(manifest: AdapterManifest) -> None:
    record = manifest.record
    assert record is not None
    dataset = record.dataset.model_copy(update={"uri": "s3://b/`x` | <script>"})
    method = {"type": "PromptTuning", "virtual_tokens": 2, "initial_text": "one\ntwo"}
    foreign = record.model_copy(
        update={"dataset": dataset, "method": type(record).model_validate(_with_method(record, method)).method}
    )
    card = model_card(manifest.model_copy(update={"record": foreign}))
    assert "| dataset | `s3://b/'x' \\| <script>` |" in card
    assert "| method.initialText | `one two` |" in card
    assert "A PromptTuning adapter" in card


@pytest.mark.parametrize(
    ("method", "facts", "name"),
    [
        ({"type": "IA3"}, {"method": "IA3", "target_modules": ("k_proj", "down_proj")}, "IA3"),
        ({"type": "PrefixTuning", "virtual_tokens": 4}, {"method": "PrefixTuning"}, "PrefixTuning"),
        (
            {"type": "Bottleneck", "architecture": "Houlsby", "size": 8},
            {"method": "Bottleneck", "target_modules": ("mlp", "self_attn")},
            "Bottleneck",
        ),
    ],
    ids=["IA3", "PrefixTuning", "Bottleneck"],
)
def test_the_card_says_how_adapters_of_each_method_are_used(
    manifest: AdapterManifest, method: dict[str, object], facts: dict[str, object], name: str
) -> None:
    record = manifest.record
    assert record is not None
    changed = AdapterFacts(trainable_parameters=64, size_bytes=300, dtype="Float32", **facts)
    record = record.model_copy(update={"method": type(record).model_validate(_with_method(record, method)).method})
    card = model_card(manifest.model_copy(update={"record": record, "adapter": changed}))
    assert f"\nA {name} adapter" in card
    in_peft = name != "Bottleneck"
    assert ("library_name: peft" in card) is in_peft
    assert ("PeftModel.from_pretrained" in card) is in_peft
    assert ("`engine.type: Transformers` serves it" in card) is not in_peft
    assert ("| adapted modules |" in card) is bool(changed.target_modules)
    assert "rank of the files" not in card


def test_the_card_tells_the_rank_that_pissa_left(manifest: AdapterManifest) -> None:
    record = manifest.record
    assert record is not None
    method = record.method.model_copy(update={"initialization": "PiSSA"})
    changed = {
        "record": record.model_copy(update={"method": method}),
        "adapter": manifest.adapter.model_copy(update={"rank": 8}),
    }
    card = model_card(manifest.model_copy(update=changed))
    assert "\nA QLoRA (PiSSA) adapter" in card
    assert "| rank of the files | 8 |\n" in card
    assert "| method.rank | `4` |\n" in card


def _with_method(record, method: dict[str, object]) -> dict[str, object]:
    return record.model_dump(by_alias=False) | {"method": method}


def test_an_imported_adapter_has_no_card_of_a_training(manifest: AdapterManifest) -> None:
    with pytest.raises(ValueError, match="no record of its training"):
        model_card(manifest.model_copy(update={"record": None}))


def test_a_parent_is_recorded(
    adapter: Make, config: TrainerConfig, digests: KnownDigests, trained: Trained, circumstances: Circumstances
) -> None:
    parent = replace(digests, parent=digests.dataset)
    manifest = complete_artifact(adapter("one"), config, parent, trained, circumstances).manifest
    assert manifest.parent_digest == digests.dataset
