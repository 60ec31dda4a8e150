"""The shape of a base model: what its config.json and the headers of its safetensors files say.

Modules stand under the names that transformers gives them, which are those of their weights in the files.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapter_contract.s3.base_model_files import CONFIGURATION, ModelFiles, weight_names
from adapter_contract.safetensors_header import (
    DTYPE_BITS,
    LENGTH_BYTES,
    MAX_HEADER_BYTES,
    InvalidSafetensorsError,
    SafetensorsHeader,
    TensorEntry,
    parse_header,
)
from adapter_trainer.architecture.families import parse_base_config
from adapter_trainer.errors import BadConfiguration, BadData

OUTPUT_HEAD = "lm_head"
"""The layer that turns the last hidden state into logits, in every family that is trained here."""

_EMBEDDINGS = frozenset({"embed_tokens", "wte", "wpe", "word_embeddings", "embed_in", "tok_embeddings"})
_MAX_CONFIG_BYTES = 1 << 20
_SUFFIX = ".weight"


@dataclass(frozen=True, slots=True)
class LinearModule:
    """A linear layer by its full name, with the sizes of what comes out of it and what goes in."""

    name: str
    out_features: int
    in_features: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A causal language model's sizes.

    Attributes:
        family: transformers' `model_type`.
        layers: decoder blocks.
        hidden_size, intermediate_size: widths of the residual stream and of the feed-forward layers.
        attention_heads, key_value_heads, head_dim: of attention; one layer's keys have the width of
            `key_value_heads * head_dim`.
        vocabulary_size: rows of the embeddings, and logits per token.
        tied_embeddings: the output head has no weights of its own.
        dtype: of most of the parameters, as safetensors names it (`BF16`).
        parameters: elements of all tensors; of a tied output head none.
        weight_bytes: of all tensors in the files.
        linear: every linear layer but the output head, in the order of the blocks: what `all-linear` means.
        output_head: as if it had weights of its own.
        embeddings: names of the layers that look tokens up.
        others: further modules that have weights, and the modules that contain others.
    """

    family: str
    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    key_value_heads: int
    head_dim: int
    vocabulary_size: int
    tied_embeddings: bool
    dtype: str
    parameters: int
    weight_bytes: int
    linear: tuple[LinearModule, ...]
    output_head: LinearModule
    embeddings: tuple[str, ...]
    others: frozenset[str]

    @property
    def linear_parameters(self) -> int:
        """Elements of the weights that are quantized: those of every linear layer but the output head."""
        return sum(module.out_features * module.in_features for module in self.linear)


def read_config(model: ModelFiles) -> dict[str, Any]:
    """Return the configuration of a base model.

    Raises:
        BadConfiguration: it is not one JSON object.
        StorageError: it can't be read.
    """
    size = model.stat(CONFIGURATION).size_bytes
    if size > _MAX_CONFIG_BYTES:
        raise BadConfiguration(f"baseModel: config.json has {size} bytes: give the directory of a base model")
    return parse_base_config(model.read(CONFIGURATION, 0, size))


def read_tensors(model: ModelFiles) -> list[TensorEntry]:
    """Return the tensors of all weight files, from their headers.

    Raises:
        BadData: a header is cut or damaged, or two files hold a tensor of the same name.
        StorageError: a file is missing or can't be read.
    """
    tensors: dict[str, TensorEntry] = {}
    for name in weight_names(model, model.list()):
        for tensor in _header(model, name).tensors:
            if tensor.name in tensors:
                raise BadData(f"baseModel: {tensor.name} stands in two weight files, once in {name}: copy it again")
            tensors[tensor.name] = tensor
    return list(tensors.values())


def read_shape(model: ModelFiles) -> ModelShape:
    """Return the shape of a base model in a directory or a store; errors as in `read_config`, `read_tensors`."""
    return model_shape(read_config(model), read_tensors(model))


def shape_of_directory(directory: Path) -> ModelShape:
    """Return the shape of a base model in a local directory; errors as in `read_shape`."""
    from adapter_contract.s3 import LocalModel  # noqa: PLC0415 - the store's client is slow to import

    return read_shape(LocalModel(directory))


def _header(model: ModelFiles, name: str) -> SafetensorsHeader:
    size = model.stat(name).size_bytes
    try:
        if size < LENGTH_BYTES:
            raise InvalidSafetensorsError(f"the file has {size} bytes")  # noqa: TRY301 - one place words it
        length = int.from_bytes(model.read(name, 0, LENGTH_BYTES), "little")
        if length > min(MAX_HEADER_BYTES, size - LENGTH_BYTES):
            raise InvalidSafetensorsError(f"a header of {length} bytes does not fit")  # noqa: TRY301 - as above
        header = parse_header(model.read(name, LENGTH_BYTES, length))
        header.check_file_size(size)
    except InvalidSafetensorsError as error:
        raise BadData(f"baseModel: {model.uri}{name}: {error}; copy the file again") from error
    return header


def model_shape(config: Mapping[str, Any], tensors: Sequence[TensorEntry]) -> ModelShape:
    """Put configuration and tensors together, and check that they belong together.

    Args:
        config: of config.json.
        tensors: of all weight files.

    Raises:
        BadConfiguration: a size is missing from the configuration; or the weights are not those of such a model, or
            not all of them.
    """
    hidden = _size(config, "hidden_size")
    heads = _size(config, "num_attention_heads")
    vocabulary = _size(config, "vocab_size")
    layers = _size(config, "num_hidden_layers")
    # Files may hold more blocks than the configuration counts: transformers leaves those out.
    tensors = [tensor for tensor in tensors if (_block(tensor.name) or 0) < layers]
    tied = _tied(config, tensors)
    counted = [tensor for tensor in tensors if not (tied and _module(tensor) == OUTPUT_HEAD)]
    linear, embeddings, others = _modules(tensors)
    shape = ModelShape(
        family=str(config.get("model_type", "")),
        layers=layers,
        hidden_size=hidden,
        intermediate_size=_size(config, "intermediate_size"),
        attention_heads=heads,
        key_value_heads=_size(config, "num_key_value_heads", otherwise=heads),
        head_dim=_size(config, "head_dim", otherwise=max(1, hidden // heads)),
        vocabulary_size=vocabulary,
        tied_embeddings=tied,
        dtype=_commonest_dtype(counted),
        parameters=sum(tensor.parameters for tensor in counted),
        weight_bytes=sum(tensor.parameters * DTYPE_BITS[tensor.dtype] // 8 for tensor in tensors),
        linear=linear,
        output_head=LinearModule(OUTPUT_HEAD, vocabulary, hidden),
        embeddings=embeddings,
        others=others,
    )
    _check(shape, tensors)
    return shape


def _size(config: Mapping[str, Any], name: str, *, otherwise: int | None = None) -> int:
    value = config.get(name)
    if value is None and otherwise is not None:
        return otherwise
    if type(value) is not int or value < 1:
        raise BadConfiguration(
            f"baseModel: config.json of the base model has no {name} of at least 1: it must be that of a causal "
            "language model"
        )
    return value


def _tied(config: Mapping[str, Any], tensors: Sequence[TensorEntry]) -> bool:
    # Absent from config.json means transformers' default of the family, which the files show: an untied head is there.
    tied = config.get("tie_word_embeddings")
    if tied is None:
        return all(_module(tensor) != OUTPUT_HEAD for tensor in tensors)
    return bool(tied)


def _block(name: str) -> int | None:
    """Return the number of the block that a tensor belongs to."""
    number = name.partition(".layers.")[2].partition(".")[0]
    return int(number) if number.isdigit() else None


def _module(tensor: TensorEntry) -> str:
    return tensor.name.rpartition(".")[0]


def _modules(tensors: Iterable[TensorEntry]) -> tuple[tuple[LinearModule, ...], tuple[str, ...], frozenset[str]]:
    """Return linear layers, embeddings, and all other modules."""
    linear: dict[str, LinearModule] = {}
    embeddings: list[str] = []
    names: set[str] = set()
    for tensor in tensors:
        name = _module(tensor)
        parts = name.split(".")
        names |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
        if not tensor.name.endswith(_SUFFIX) or len(tensor.shape) != 2 or name == OUTPUT_HEAD:
            continue
        if parts[-1] in _EMBEDDINGS:
            embeddings.append(name)
        else:
            linear[name] = LinearModule(name, *tensor.shape)
    ordered = tuple(sorted(linear.values(), key=lambda module: natural_order(module.name)))
    return ordered, tuple(sorted(embeddings)), frozenset(names - linear.keys() - set(embeddings) - {OUTPUT_HEAD, ""})


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a key that sorts names of modules as the model has them: layer 2 before layer 10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in name.split(".")]


def _commonest_dtype(tensors: Sequence[TensorEntry]) -> str:
    counts: Counter[str] = Counter()
    for tensor in tensors:
        counts[tensor.dtype] += tensor.parameters
    return counts.most_common(1)[0][0] if counts else ""


def _check(shape: ModelShape, tensors: Sequence[TensorEntry]) -> None:
    by_name = {tensor.name: tensor for tensor in tensors}
    embedding = next((by_name[name + _SUFFIX] for name in shape.embeddings), None)
    if embedding is None:
        raise _Unfit("there are no token embeddings (embed_tokens) in its weights")
    wanted = (shape.vocabulary_size, shape.hidden_size)
    if embedding.shape != wanted:
        raise _Unfit(f"config.json says vocab_size, hidden_size {wanted}, but {embedding.name} is {embedding.shape}")
    head = by_name.get(OUTPUT_HEAD + _SUFFIX)
    if head is None and not shape.tied_embeddings:
        raise _Unfit(f"tie_word_embeddings is false, but there is no {OUTPUT_HEAD}{_SUFFIX} in its weights")
    if head is not None and head.shape != wanted:
        raise _Unfit(f"config.json says vocab_size, hidden_size {wanted}, but {head.name} is {head.shape}")
    _check_layers(shape.layers, by_name)


def _check_layers(layers: int, by_name: Mapping[str, TensorEntry]) -> None:
    """Check that each block has what most blocks have: a copy that lacks a part of one is found so."""
    blocks: dict[int, set[str]] = {number: set() for number in range(layers)}
    for name in by_name:
        number = _block(name)
        if number is not None:
            blocks[number].add(name.replace(f".layers.{number}.", ".layers.*.", 1))
    empty = next((number for number, inner in blocks.items() if not inner), None)
    if empty is not None:
        raise _Unfit(f"config.json says {layers} layers, but there are no weights of layer {empty}")
    counts = Counter(inner for number in range(layers) for inner in blocks[number])
    for inner, count in sorted(counts.items()):
        if layers / 2 < count < layers:
            lacking = next(number for number in range(layers) if inner not in blocks[number])
            raise _Unfit(f"{inner.replace('*', str(lacking))} is missing from its weights")


class _Unfit(BadConfiguration):
    """The files are not a whole model."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"baseModel: {reason}: its directory must hold all of a causal language model; complete the copy, or "
            "correct config.json"
        )
