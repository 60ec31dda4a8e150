"""What a row of tokens leaves in memory between its forward and its backward pass, and what it takes for a moment.

It follows what PyTorch and the functions of `model.fused` save for the backward pass, tensor by tensor: on a CPU these
functions, on a GPU the layers of transformers and PEFT under autocast. A frozen linear layer keeps nothing; an adapted
one its input, once for all layers that share it, unless each drops out other parts of it. Tests compare the sums with
what is really saved, for each family and method.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapter_contract import TrainerConfig, as_float
from adapter_contract.recipe import IA3, Bottleneck, LoRA, PrefixTuning
from adapter_trainer.architecture.modules import resolve_modules
from adapter_trainer.architecture.shape import LinearModule, ModelShape
from adapter_trainer.estimate.adapter import FLOAT32, target_layers, trainable_parameters
from adapter_trainer.estimate.device import Device
from adapter_trainer.estimate.rows import RowSize
from adapter_trainer.estimate.weights import COMPUTE_BYTES

HEAD_CHUNK = 1 << 23
"""Logits that are computed at once, as `model.fused.head` has it."""

_NORM = re.compile(r"\.layers\.\d+\.(?P<part>.*norm)$")
_SHARED_INPUT = {
    "q_proj": "attention",
    "k_proj": "attention",
    "v_proj": "attention",
    "qkv_proj": "attention",
    "gate_proj": "feedforward",
    "up_proj": "feedforward",
    "fc1": "attention",
}
"""Layers of a block that take the same tensor in; Phi's first feed-forward layer does as attention."""


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes per row.

    Attributes:
        per_token: kept for the backward pass, for each position of the row.
        per_label: likewise, for each learned token.
        per_row: likewise, however long the row is.
        per_document: likewise, for each document of the row.
        per_square: likewise, for each pair of positions of a document.
        passing_per_token, passing_per_label: needed at once beside what is kept, at the worst moment.
        passing: likewise, however long the row is.
        layers: how many blocks share what is kept per token and row.
        checkpoint_per_token: kept of one block where it is computed again in the backward pass.
    """

    per_token: float
    per_label: int
    per_row: int
    per_document: int
    per_square: int
    passing_per_token: int
    passing_per_label: int
    passing: int
    layers: int
    checkpoint_per_token: int

    def kept(self, row: RowSize, *, checkpointing: bool = False) -> int:
        """Return the bytes that a row keeps; with checkpointing, what goes into each block, and all of one block."""
        blocks = int(self.per_token * row.tokens) + self.per_square * row.squares + self.per_document * row.documents
        blocks += self.per_row
        if checkpointing:
            blocks = blocks // self.layers + self.checkpoint_per_token * self.layers * row.tokens
        return blocks + self.per_label * row.labels

    def passed(self, row: RowSize) -> int:
        """Return the bytes that a row needs for a moment."""
        return max(self.passing_per_token * row.tokens, self.passing_per_label * row.labels + self.passing)


def activations(shape: ModelShape, config: TrainerConfig, device: Device) -> Activations:
    """Return what rows take.

    Raises:
        BadConfiguration: a module that the method names doesn't exist or can't be adapted.
    """
    return _Accounts(shape, config, device).activations()


class _Accounts:
    def __init__(self, shape: ModelShape, config: TrainerConfig, device: Device) -> None:
        self._shape = shape
        self._method = config.method
        self._quantized = config.quantization.type != "None"
        self._size = COMPUTE_BYTES[config.quantization.compute_type]
        self._on_cpu = device.kind == "CPU"
        self._gemma = shape.family.startswith("gemma")
        self._gated = any(_leaf(module) == "gate_proj" for module in shape.linear)
        self._targets = target_layers(shape, config.method)
        dora = isinstance(self._method, LoRA) and self._method.weight_decomposition == "Enabled"
        self._dora = dora
        self._drops = isinstance(self._method, LoRA) and as_float(self._method.dropout) > 0

    def activations(self) -> Activations:
        shape, size = self._shape, self._size
        per_token = self._norms() + self._attention() + self._gates() + self._adapters()
        largest = max((module.out_features * module.in_features for module in shape.linear), default=0)
        return Activations(
            per_token=per_token,
            per_label=self._head_kept(),
            per_row=self._weights_kept(),
            per_document=self._prefixes(),
            per_square=self._scores(),
            passing_per_token=4
            * max(size, FLOAT32 if self._dora else 0)
            * max(shape.intermediate_size, shape.hidden_size),
            passing_per_label=self._head_passing_per_label(),
            passing=max(self._head_passing(), self._weights_passing(largest)),
            layers=shape.layers,
            checkpoint_per_token=size * shape.hidden_size,
        )

    def _norms(self) -> int:
        """Return what normalisations keep: their input, in float32 unless fused, and a number per token and head."""
        mean = self._shape.family == "phi"
        each = self._size if self._on_cpu and not self._gemma else FLOAT32
        of_scale = (2 * self._size if self._on_cpu else 2 * FLOAT32) if mean else FLOAT32
        return sum(each * width + of_scale * heads for width, heads in self._norm_widths())

    def _norm_widths(self) -> list[tuple[int, int]]:
        """Return the width of each normalisation, and into how many parts it is normalised."""
        shape = self._shape
        by_part = {
            "q_norm": (shape.attention_heads * shape.head_dim, shape.attention_heads),
            "k_norm": (shape.key_value_heads * shape.head_dim, shape.key_value_heads),
        }
        parts = [match["part"].rpartition(".")[2] for name in shape.others if (match := _NORM.search(name))]
        return [by_part.get(part, (shape.hidden_size, 1)) for part in [*parts, "norm"]]

    def _attention(self) -> int:
        """Return what attention keeps: queries, keys, values; its result and the logarithm of sums unless fused."""
        shape, method = self._shape, self._method
        queries = shape.attention_heads * shape.head_dim
        keys = shape.key_value_heads * shape.head_dim
        prefixed = isinstance(method, PrefixTuning)
        # A mask, or capped scores, take keys and values once for each of the heads that share them.
        kept = self._size * (queries + 2 * (queries if prefixed or self._capped else keys))
        if any(_leaf(module) == "qkv_proj" for module in shape.linear) and not prefixed:
            kept += self._size * (queries + keys)  # values are a view of what holds queries and keys, too
        if not self._capped and (prefixed or not self._on_cpu):
            kept += self._size * queries + FLOAT32 * shape.attention_heads
        if isinstance(method, PrefixTuning):
            kept += self._size * method.virtual_tokens  # of the mask
        return shape.layers * kept

    @property
    def _capped(self) -> bool:
        return self._shape.family == "gemma2"

    def _scores(self) -> int:
        """Return what is kept for each pair of positions: scores and shares where they are capped; a mask."""
        if self._capped:
            return self._shape.layers * (2 * FLOAT32 * self._shape.attention_heads + 1)
        return self._shape.layers * self._size if isinstance(self._method, PrefixTuning) else 0

    def _prefixes(self) -> int:
        """Return what the learned keys and values of prefixes take in each document, beside those of its tokens."""
        if not isinstance(self._method, PrefixTuning):
            return 0
        width = self._shape.attention_heads * self._shape.head_dim
        return self._shape.layers * 2 * self._size * width * self._method.virtual_tokens

    def _gates(self) -> int:
        """Return what non-linearities keep: what goes in, and unless they are fused, what comes out."""
        shape = self._shape
        fused = self._on_cpu and self._gated and not self._gemma
        tensors = 4 if shape.family == "phi" else 2 if fused else 3
        return shape.layers * tensors * self._size * shape.intermediate_size

    def _adapters(self) -> float:
        method, shape, size = self._method, self._shape, self._size
        if isinstance(method, LoRA):
            return self._inputs() + sum(self._low_rank(method, module) for module in self._targets)
        if isinstance(method, IA3):
            inputs = set(resolve_modules(method, shape).feedforward)
            return sum(
                FLOAT32 * module.in_features if module.name in inputs else size * module.out_features
                for module in self._targets
            )
        if isinstance(method, Bottleneck):
            return len(resolve_modules(method, shape).names) * size * (shape.hidden_size + method.size)
        return 0

    def _inputs(self) -> int:
        """Return what LoRA keeps of the inputs of its layers."""
        if not self._drops and not (self._dora and self._size < FLOAT32):
            return sum(self._size * width for width in self._distinct_inputs())
        dropped = 0
        if self._drops:
            # PyTorch keeps which elements were dropped in a byte, ours as factors in the type of the activations.
            wide = FLOAT32 if self._dora else self._size
            dropped = wide if self._on_cpu else 1
        return sum((self._size + dropped) * module.in_features for module in self._targets)

    def _distinct_inputs(self) -> Iterator[int]:
        """Yield the width of each tensor that goes into any of the adapted layers, once."""
        seen: set[tuple[str, str]] = set()
        for module in self._targets:
            block = module.name.rpartition(".")[0].rpartition(".")[0]
            key = (block, _SHARED_INPUT.get(_leaf(module), module.name))
            if key not in seen:
                seen.add(key)
                yield module.in_features

    def _low_rank(self, method: LoRA, module: LinearModule) -> int:
        decomposed = 2 * module.out_features if self._dora else 0
        return self._size * (method.rank + decomposed)

    def _weights_kept(self) -> int:
        """Return what is kept of weights: casts of the adapter's, and the base's where DoRA drops out."""
        decomposed = 3 * FLOAT32 * sum(module.out_features for module in self._targets) if self._dora else 0
        scales = sum(FLOAT32 * width for width, _ in self._norm_widths()) if self._gemma else 0
        cast = trainable_parameters(self._shape, self._method) * self._size if self._size < FLOAT32 else 0
        if isinstance(self._method, LoRA) and not self._dora and self._on_cpu:
            cast = 0
        copied = self._dora and self._drops and (self._size < FLOAT32 or (self._quantized and not self._on_cpu))
        base = sum(module.out_features * module.in_features for module in self._targets) if copied else 0
        return cast + base * self._size + decomposed + scales

    def _weights_passing(self, largest: int) -> int:
        """Return what layers need for a moment whatever the row: weights that are dequantized or put together."""
        if self._dora:
            # The base's weight, the adapter's product and its start, and their sum, in float32.
            return 4 * FLOAT32 * largest
        return self._size * largest if self._quantized and not self._on_cpu else 0

    def _head_kept(self) -> int:
        if self._capped or self._shape.output_head.name in {module.name for module in self._targets}:
            return FLOAT32 * self._shape.vocabulary_size
        return self._size * self._shape.hidden_size

    def _head_passing_per_label(self) -> int:
        vocabulary = self._shape.vocabulary_size
        if self._head_kept() == FLOAT32 * vocabulary:
            return (FLOAT32 + (self._size if self._size < FLOAT32 else 0)) * vocabulary
        return self._size * self._shape.hidden_size

    def _head_passing(self) -> int:
        """Return what a chunk of logits takes with its shares in float32."""
        return HEAD_CHUNK * (self._size + FLOAT32 + (FLOAT32 if self._size < FLOAT32 else 0))


def _leaf(module: LinearModule) -> str:
    return module.name.rpartition(".")[2]
