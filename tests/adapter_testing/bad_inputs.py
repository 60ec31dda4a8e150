"""The table of bad inputs: what is spoiled, with which exit code the trainer ends, and which words its message has.

The words name the object (file and line, URI, name), the field of the configuration, and what to do. Exit codes: 64 bad
configuration, 65 bad data, 66 input missing, 69 storage unavailable, 70 internal, 77 permission, 78 diverged.
"""

import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow
import pyarrow.parquet

from adapter_contract import sha256_bytes
from adapter_testing.bad_input_lab import BadInputLab
from adapter_testing.trainer_lab import chats

Spoil: TypeAlias = Callable[[BadInputLab], object]


@dataclass(frozen=True)
class BadInput:
    """One row of the table."""

    name: str
    code: int
    words: tuple[str, ...]
    spoil: Spoil
    longest_file_bytes: int | None = None
    reads_configuration: bool = True


def bad(code: int, name: str, spoil: Spoil, *words: str, **more: Any) -> BadInput:
    return BadInput(name, code, words, spoil, **more)


def data(content: bytes, name: str = "train.jsonl", **members: object) -> Spoil:
    """The dataset is this one file, with these members of `dataset` changed."""

    def spoil(lab: BadInputLab) -> None:
        lab.dataset_file(name, content)
        lab.change("dataset", **members)

    return spoil


def several(files: Mapping[str, bytes]) -> Spoil:
    """The dataset is a directory with these files."""

    def spoil(lab: BadInputLab) -> None:
        for name, content in files.items():
            lab.dataset_file(f"many/{name}", content)
        lab.dataset_source({"type": "Path", "path": str(lab.directory / "data/many")})

    return spoil


def base(change: Callable[[Path], object]) -> Spoil:
    """The base model's files are changed."""
    return lambda lab: change(lab.own_base())


def base_config(**members: object) -> Spoil:
    """Members of the base model's config.json are changed."""

    def change(directory: Path) -> None:
        path = directory / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | members))

    return base(change)


def config(path: str, **members: object) -> Spoil:
    """Members of a part of the configuration are changed."""
    return lambda lab: lab.change(path, **members)


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def conversation(question: object, answer: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def parquet(**columns: list[Any]) -> bytes:
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def _cut(path: Path, keep: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])


def _shard(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def _template(text: str | None) -> Spoil:
    def change(directory: Path) -> None:
        path = directory / "chat_template.jinja"
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    return base(change)


CHATS = chats(12)
PAIRS = lines(*({"prompt": f"p {n}", "chosen": f"yes {n}", "rejected": f"no {n}"} for n in range(8)))
PREFERENCE = {"type": "DirectPreferenceOptimization", "beta": "0.1"}

DATA = (
    bad(65, "empty file", data(b""), "dataset", "no example", "train.jsonl"),
    bad(65, "only blank lines", data(b"\n  \n\n"), "dataset", "no example", "train.jsonl"),
    bad(65, "one bad line among many", data(CHATS + b"{oops\n" + CHATS), "train.jsonl line 13", "is not JSON"),
    bad(65, "a line that is an array", data(CHATS + b"[1]\n"), "train.jsonl line 13", "one JSON object"),
    bad(65, "a broken array", data(b'[{"text": "a"}, {"text": ', "a.json"), "a.json line 1", "is not JSON"),
    bad(65, "an object without examples", data(b'{\n"version": 1\n}', "a.json"), "a.json", "array of examples"),
    bad(65, "wrong columns", data(lines({"question": "a", "answer": "b"})), "'question', 'answer'", "dataset.columns"),
    bad(65, "a row without its column", data(lines({"text": "a"}, {"txt": "b"})), "train.jsonl line 2", "'text'",
        "dataset.columns"),
    bad(65, "a wrong type in a column", data(lines({"text": "a"}, {"text": 3})), "line 2", "'text'", "string"),
    bad(65, "messages that are text", data(lines({"messages": "hello"})), "line 1", "messages", "role and content"),
    bad(65, "Latin-1", data(b'{"text": "a"}\n{"text": "caf\xe9"}\n'), "train.jsonl line 2", "UTF-8"),
    bad(65, "UTF-16", data('{"text": "a"}\n'.encode("utf-16")), "train.jsonl", "UTF-8"),
    bad(65, "null bytes", data(b'{"text": "a"}\n' + b"\0" * 64 + b"\n"), "train.jsonl line 2", "is not JSON"),
    bad(65, "null bytes in CSV", data(b"text\na\nb\0c\n", "a.csv"), "a.csv line 3", "null byte"),
    bad(65, "ragged CSV", data(b"prompt,completion\na,b\nc\n", "a.csv"), "a.csv line 3", "1 cells", "2 headers"),
    bad(65, "CSV with semicolons", data(b"prompt;completion\na;b\n", "a.csv"), "a.csv", "';'", "commas"),
    bad(65, "a column of CSV twice", data(b"text,text\na,b\n", "a.csv"), "a.csv", "'text' stands twice", "rename"),
    bad(65, "truncated Parquet", data(parquet(text=["a"] * 99)[:-40], "a.parquet"), "a.parquet", "Parquet"),
    bad(65, "Parquet that is none", data(b"PAR1 but text", "a.parquet"), "a.parquet", "no Parquet file"),
    bad(65, "Parquet with numbers", data(parquet(text=[1, 2]), "a.parquet"), "a.parquet row 1", "'text'", "string"),
    bad(64, "a compressed file", data(gzip.compress(CHATS), "train.jsonl.gz"), "dataset.source", "train.jsonl.gz",
        "decompress"),
    bad(64, "a compressed file in disguise", data(gzip.compress(CHATS)), "dataset.source", "train.jsonl", "decompress"),
    bad(64, "a compressed file among others", several({"a.jsonl": CHATS, "b.jsonl.zst": b""}), "dataset.source",
        "b.jsonl.zst", "decompress"),
    bad(64, "types mixed", several({"a.jsonl": CHATS, "b.csv": b"text\n"}), "dataset.source", "a.jsonl", "b.csv",
        "one type"),
    bad(64, "an archive", data(b"", "all.tar"), "dataset.source", "all.tar", "*.jsonl"),
    bad(66, "a directory without examples", several({"README.md": b"#"}), "dataset.source", "README.md",
        "check the location"),
    bad(65, "only examples that are too long", data(lines(*(conversation("why " * 300, f"x {n}") for n in range(8)))),
        "8 of 8", "hyperparameters.maxSequenceLength"),
    bad(65, "all answers empty", data(lines(*({"prompt": f"p {n}", "completion": ""} for n in range(8)))),
        "dataset", "all 8 answers are empty", "completion", "dataset.columns"),
    bad(65, "all answers of chats empty", data(lines(*(conversation(f"q {n}", "") for n in range(8)))),
        "dataset", "all 8 answers are empty", "content of the assistant's messages"),
    bad(65, "too many unusable examples",
        data(CHATS + lines(*(conversation("why " * 300, f"x {n}") for n in range(3)))), "3 of 15", "maxPercent"),
    bad(65, "unusable examples refused",
        data(CHATS * 9 + lines(conversation("why " * 300, "x")),
             unusableExamples={"action": "Fail", "maxPercent": "5"}),
        "train.jsonl line 109", "unusableExamples"),
    bad(65, "too few to hold out", data(chats(1)), "evaluation.holdout.percent", "fewer than two", "remove evaluation"),
    bad(65, "a lone surrogate", data(b'{"text": "\\ud800"}\n'), "train.jsonl line 1", "surrogate"),
    bad(65, "not the pinned data", config("dataset", digest=sha256_bytes(b"before")), "dataset.digest",
        sha256_bytes(b"before"), "changed"),
    bad(65, "data that changed since preflight", lambda lab: lab.preflight_saw(dataset=sha256_bytes(b"before")),
        "preflight.expected", "dataset", "changed"),
    bad(66, "a dataset that is not there", lambda lab: lab.dataset_source({"type": "Path", "path": "/no/such.jsonl"}),
        "dataset.source", "/no/such.jsonl", "does not exist"),
    bad(66, "held-out data that are not there", config(
        "evaluation", holdout={"type": "Source", "source": {"type": "Path", "path": "/no/such.jsonl"}}),
        "evaluation.holdout.source", "/no/such.jsonl"),
    bad(64, "preferences under a supervised objective", data(PAIRS, format="Preference"), "dataset.format",
        "Preference", "DirectPreferenceOptimization"),
    bad(65, "preferences found under a supervised objective", data(PAIRS), "train.jsonl line 1",
        "DirectPreferenceOptimization"),
    bad(65, "chats under a preference objective", config("", objective=PREFERENCE), "train.jsonl line 1", "chosen",
        "rejected"),
    bad(64, "a column of another format", config("dataset", format="Messages", columns=[{"name": "text", "from": "t"}]),
        "dataset.columns", "text", "Messages"),
)  # fmt: skip

BASE_MODEL = (
    bad(66, "a base that is not there", config("baseModel", source={"type": "Path", "path": "/no/base"}),
        "baseModel.source", "/no/base"),
    bad(66, "no config.json", base(lambda path: (path / "config.json").unlink()), "baseModel.source", "config.json"),
    bad(64, "a config.json that is none", base(lambda path: (path / "config.json").write_text("[")), "baseModel",
        "config.json"),
    bad(64, "an unknown architecture", base_config(model_type="zeppelin", architectures=["ZeppelinForCausalLM"]),
        "baseModel", "zeppelin"),
    bad(64, "a mixture of experts", base_config(model_type="mixtral", architectures=["MixtralForCausalLM"]),
        "baseModel", "MixtralForCausalLM", "mixture of experts", "dense"),
    bad(64, "a vision model", base_config(vision_config={"hidden_size": 8}), "baseModel", "multimodal", "text model"),
    bad(64, "a base that is quantized already", base_config(quantization_config={"quant_method": "bitsandbytes"}),
        "baseModel", "quantized already", "original weights"),
    bad(64, "an encoder", base_config(model_type="bert", architectures=["BertForMaskedLM"]), "baseModel",
        "BertForMaskedLM", "ForCausalLM"),
    bad(66, "no weights", base(lambda path: (path / "model.safetensors").unlink()), "baseModel.source", "no weights"),
    bad(64, "weights that are pickled", base(
        lambda path: (path / "model.safetensors").rename(path / "pytorch_model.bin")),
        "baseModel.source", "pytorch_model.bin", "save_pretrained"),
    bad(65, "truncated weights", base(lambda path: _cut(path / "model.safetensors", 0.5)), "baseModel.source",
        "model.safetensors", "copy the file again"),
    bad(66, "a missing shard", base(_shard), "baseModel.source", "model-00002-of-00002.safetensors",
        "complete the copy"),
    bad(64, "no tokenizer", base(lambda path: (path / "tokenizer.json").unlink()), "baseModel", "tokenizer"),
    bad(64, "no chat template", _template(None), "no chat template", "instruct model", "PromptCompletion"),
    bad(65, "a template that refuses", _template("{{ raise_exception('roles must alternate') }}"), "train.jsonl line 1",
        "roles must alternate"),
    bad(64, "a template that is none", _template("{% for message in"), "chat template"),
    bad(65, "not the pinned base", config("baseModel", digest=sha256_bytes(b"other")), "baseModel.digest",
        sha256_bytes(b"other"), "changed"),
    bad(64, "unknown target modules", config("method", targetModules=["q_proj", "wings"]), "targetModules", "wings"),
)  # fmt: skip

CONFIGURATION = (
    bad(64, "a typo", lambda lab: lab.rename("hyperparameters", "learningRate", "learning_rate"),
        "hyperparameters.learningRate: Field required"),
    bad(64, "not JSON", lambda lab: lab.raw_configuration(b"{"), "trainer-config.json", "is not JSON",
        reads_configuration=False),
    bad(64, "another schema", config("", schemaVersion=99), "schemaVersion", "99", "upgrade"),
    bad(64, "a wrong choice", config("quantization", type="NF5"), "quantization.type", "NF4"),
    bad(64, "learning rate 0", config("hyperparameters", learningRate="0"), "hyperparameters.learningRate", "above 0"),
    bad(64, "epochs 0", config("hyperparameters", epochs="0"), "hyperparameters.epochs", "above 0"),
    bad(64, "batch size 0", config("hyperparameters", batchSize=0), "hyperparameters.batchSize", "greater than"),
    bad(64, "sequences of one token", config("hyperparameters", maxSequenceLength=1), "maxSequenceLength",
        "at least 2"),
    bad(64, "everything held out", config("evaluation", holdout={"type": "Percent", "percent": "100"}),
        "evaluation.holdout.percent", "below 100"),
    bad(64, "a metric of another objective", config("evaluation", metrics=["PreferenceAccuracy"]), "PreferenceAccuracy",
        "DirectPreferenceOptimization"),
    bad(64, "a metric that is not measured", config("evaluation", metrics=["RougeL"]), "evaluation.metrics", "RougeL"),
    bad(64, "no configuration file", lambda lab: lab.variables(ADAPTER_TRAINER_CONFIG_FILE="/no/such.json"),
        "/no/such.json", "config map", reads_configuration=False),
    bad(64, "no attempt", lambda lab: lab.variables(ADAPTER_ATTEMPT=""), "ADAPTER_ATTEMPT", "number",
        reads_configuration=False),
    bad(64, "a variable that is not set", lambda lab: lab.variables(ADAPTER_WORK_DIRECTORY=""),
        "ADAPTER_WORK_DIRECTORY is not set", "operator", reads_configuration=False),
    bad(64, "PiSSA on an earlier adapter", lambda lab: (lab.parent(), lab.change("method", initialization="PiSSA")),
        "PiSSA", "initializeFrom"),
)  # fmt: skip

STORAGE = (
    bad(69, "an endpoint where nobody listens", lambda lab: lab.output_on_closed_port(), "output", "no connection",
        "endpoint"),
    bad(66, "a bucket that is not there", lambda lab: lab.stored_dataset("s3://no-such-bucket/train.jsonl"),
        "dataset.source", "s3://no-such-bucket", "bucket"),
    bad(66, "an object that is not there", lambda lab: lab.stored_dataset(f"s3://{lab.bucket}/gone/train.jsonl"),
        "dataset.source", "gone/train.jsonl", "check the location"),
    bad(77, "wrong keys", lambda lab: lab.stored_dataset(f"s3://{lab.bucket}/x.jsonl", keys=("AKIAWRONG", "wr0ng-k3y")),
        "dataset.source", "credentials", "secret"),
    bad(77, "no keys", lambda lab: lab.stored_dataset(f"s3://{lab.bucket}/x.jsonl", keys=("", "")), "dataset.source",
        "credentials"),
    bad(77, "an output that may only be read", lambda lab: lab.read_only_output(), "output", "owner.json",
        "may do there"),
    bad(64, "an output of another training", lambda lab: lab.foreign_output(), "OutputInUse", "team-b"),
    bad(70, "a full disk", data(CHATS * 100), "disk is full", "pod.scratch", longest_file_bytes=32 << 10),
    bad(66, "a parent that is not there", lambda lab: lab.missing_parent(), "initializeFrom", "manifest.json"),
    bad(65, "a parent with other bytes", lambda lab: lab.parent(spoiled=True), "initializeFrom",
        "adapter_model.safetensors"),
    bad(64, "a parent of another base", lambda lab: lab.parent(base_name="org/other"), "initializeFrom", "org/other",
        "name an adapter of this base"),
    bad(64, "a parent of another revision", lambda lab: lab.parent(base_digest=sha256_bytes(b"old")), "initializeFrom",
        "same revision"),
)  # fmt: skip

HUB = (
    bad(77, "a repository that is not there", lambda lab: lab.hub_dataset("org/gone"), "dataset.source",
        "hf://datasets/org/gone", "tokenSecretRef"),
    bad(77, "a gated repository", lambda lab: lab.hub_dataset("org/gated"), "dataset.source", "gated",
        "accept its terms"),
    bad(66, "a revision that is not there", lambda lab: lab.hub_dataset("org/chats", revision="v9"), "dataset.source",
        "@v9", "revision"),
    bad(64, "a split that is not there", lambda lab: lab.hub_dataset("org/chats", split="dev"), "dataset.source.split",
        "test, train"),
    bad(64, "a subset that is not there", lambda lab: lab.hub_dataset("org/chats", subset="fr"),
        "dataset.source.subset", "no subset fr", "remove subset"),
    bad(64, "a loading script", lambda lab: lab.hub_dataset("org/script"), "script.py", "never run"),
    bad(65, "a card that is no YAML", lambda lab: lab.hub_dataset("org/card"), "README.md", "no YAML"),
    bad(77, "a base model that is gated", lambda lab: lab.hub_base("org/gated-base"), "baseModel.source", "gated",
        "tokenSecretRef"),
    bad(77, "a token that is not mounted", lambda lab: lab.hub_dataset("org/chats", tokenFile="/no/token"),
        "/no/token", "tokenSecretRef"),
    bad(69, "a Hub where nobody listens", lambda lab: lab.dead_hub(), "dataset.source", "no connection to the Hub",
        "HF_ENDPOINT"),
)  # fmt: skip

TRAINING = (
    bad(78, "a learning rate that diverges", config(
        "hyperparameters", learningRate="1e30", scheduler="Constant", maxGradientNorm="0"), "learningRate"),
)  # fmt: skip

TABLE = (*DATA, *BASE_MODEL, *CONFIGURATION, *STORAGE, *HUB, *TRAINING)
