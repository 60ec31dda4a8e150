"""README.md of an adapter: for people, and for pages that show models, which read the header.

The header's members are those that the Hugging Face Hub documents for model cards.
"""

import json

from adapter_contract import AdapterFacts, AdapterManifest, LoRA, TrainingRecord

MODEL_CARD_NAME = "README.md"


def model_card(manifest: AdapterManifest) -> str:
    """Return the card of an adapter that was trained.

    Args:
        manifest: what it will be published with; its list of files is not looked at.

    Raises:
        ValueError: the adapter was not trained but imported.
    """
    record = manifest.record
    if record is None:
        raise ValueError("an imported adapter has no record of its training")
    sections = (
        _header(manifest, record),
        f"# {record.training.name}",
        f"A {_method(record)} adapter for {_code(manifest.base_model.name)}, made by run {record.run.number} of the "
        f"AdapterTraining {_code(f'{record.training.namespace}/{record.training.name}')} in the cluster "
        f"{_code(record.training.cluster)}. `manifest.json` says the same for programs, with the digest of every file.",
        *_metrics(manifest, record),
        "## Where it comes from",
        _table("what", "value", _origin(manifest, record)),
        "## How it was trained",
        _table("setting", "value", [*_adapter(manifest.adapter), *_recipe(record)]),
        "## How to use it",
        _usage(manifest),
    )
    return "\n\n".join(sections) + "\n"


def _header(manifest: AdapterManifest, record: TrainingRecord) -> str:
    # JSON strings are YAML strings, whatever stands in them.
    tags = [record.method.type.lower(), "adapter-operator"]
    return "\n".join(
        (
            "---",
            f"base_model: {json.dumps(manifest.base_model.name)}",
            *(["library_name: peft"] if _is_of_peft(manifest) else []),
            "pipeline_tag: text-generation",
            f"tags: {json.dumps(tags)}",
            "---",
        )
    )


def _is_of_peft(manifest: AdapterManifest) -> bool:
    """Tell whether the PEFT library reads the files."""
    return manifest.adapter.method != "Bottleneck"


def _method(record: TrainingRecord) -> str:
    method = record.method
    if not isinstance(method, LoRA):
        return method.type
    name = "DoRA" if method.weight_decomposition == "Enabled" else "LoRA"
    prefix = "Q" if record.quantization.type in {"NF4", "FP4"} else ""
    return f"{prefix}{name}{' (PiSSA)' if method.initialization == 'PiSSA' else ''}"


def _metrics(manifest: AdapterManifest, record: TrainingRecord) -> list[str]:
    if not manifest.metrics:
        return []
    text = f"On {record.dataset.evaluation_examples} held-out examples, {_code(manifest.evaluation_digest)}:"
    return ["## How good it is", text, _table("metric", "value", sorted(manifest.metrics.items()))]


def _origin(manifest: AdapterManifest, record: TrainingRecord) -> list[tuple[str, object]]:
    dataset, base = record.dataset, manifest.base_model
    return [
        ("dataset", _code(dataset.uri)),
        ("dataset digest", _code(dataset.digest)),
        ("training examples", dataset.examples),
        ("dropped examples", dataset.dropped_examples),
        ("base model", _code(base.name) + (f", revision {_code(base.revision)}" if base.revision else "")),
        ("base digest", _code(base.digest)),
        *([("continues", _code(manifest.parent_digest))] if manifest.parent_digest else []),
        ("trainer image", _code(record.lineage.image)),
        *([("source revision", _code(record.lineage.source_revision))] if record.lineage.source_revision else []),
        ("time", f"{record.start_time:%Y-%m-%dT%H:%M:%SZ} to {record.end_time:%Y-%m-%dT%H:%M:%SZ}"),
    ]


def _adapter(facts: AdapterFacts) -> list[tuple[str, object]]:
    modules = ", ".join(_code(name) for name in _kinds_of_modules(facts))
    return [
        ("trainable parameters", f"{facts.trainable_parameters:,}"),
        *([("adapted modules", modules)] if modules else []),
        # One that began with PiSSA has twice the rank that it was trained with.
        *([("rank of the files", facts.rank)] if facts.rank else []),
    ]


def _kinds_of_modules(facts: AdapterFacts) -> list[str]:
    """Return the modules' names without their places: a model has hundreds of them in tens of equal layers."""
    return sorted({name.rpartition(".")[2] for name in facts.target_modules})


def _recipe(record: TrainingRecord) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for name in ("method", "quantization", "objective", "hyperparameters"):
        members = getattr(record, name).model_dump(mode="json", by_alias=True, exclude_none=True)
        rows += [(f"{name}.{key}", _shown(value)) for key, value in members.items()]
    return [*rows, ("steps", record.steps)]


def _usage(manifest: AdapterManifest) -> str:
    name = json.dumps(manifest.base_model.name)
    if not _is_of_peft(manifest):
        return (
            "The PEFT library has no bottleneck adapters, so it can't load this one, nor can vLLM. An "
            "AdapterDeployment with `engine.type: Transformers` serves it. The format is a small one, described in "
            "`adapter_contract/bottleneck.py` of adapter-operator; `adapter_config.json` names the modules."
        )
    return (
        "```python\n"
        "from peft import PeftModel\n"
        "from transformers import AutoModelForCausalLM\n\n"
        f"base = AutoModelForCausalLM.from_pretrained({name})\n"
        'model = PeftModel.from_pretrained(base, "path/to/this/directory")\n'
        "```"
    )


def _table(left: str, right: str, rows: list[tuple[str, object]] | list[tuple[str, str]]) -> str:
    return "\n".join((f"| {left} | {right} |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)))


def _shown(value: object) -> str:
    return ", ".join(_code(item) for item in value) if isinstance(value, list) else _code(value)


def _code(value: object) -> str:
    """Show foreign text as it is: no mark-up in it is carried out, and it ends no cell of a table."""
    text = " ".join(str(value).split())
    return "`" + text.replace("`", "'").replace("|", "\\|") + "`"
