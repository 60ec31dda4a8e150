"""One step of the model for all rows, whatever adapters they use."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from adapter_server.engines.transformers.adapter_layers import Adapter, AdapterLayers
from adapter_server.engines.transformers.kv_cache import KVCache


class ModelRunner:
    """Computes logits. Only one thread may use it: the adapters that apply are state of the layers.

    Args:
        model: a causal language model of transformers, in eval mode.
        layers: of each method of adapters.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - transformers has no type for it
        layers: Sequence[AdapterLayers[Any]],
    ) -> None:
        self._model = model
        self._layers = layers
        self._device = torch.device(model.device)

    def prefill(self, prompts: Sequence[Sequence[int]], adapters: Sequence[Adapter | None]) -> tuple[Tensor, KVCache]:
        """Compute whole prompts; return the logits of what follows, as `decode`, and the rows' cache."""
        cache = KVCache()
        return self._forward(prompts, adapters, cache), cache

    def decode(self, cache: KVCache, tokens: Sequence[int], adapters: Sequence[Adapter | None]) -> Tensor:
        """Compute one more token of each row; after an error the cache is of no use any more.

        Returns:
            Logits of what follows: [rows, vocabulary], float32, on the CPU.
        """
        return self._forward([[token] for token in tokens], adapters, cache)

    @torch.inference_mode()
    def _forward(self, tokens: Sequence[Sequence[int]], adapters: Sequence[Adapter | None], cache: KVCache) -> Tensor:
        lengths = [len(row) for row in tokens]
        longest = max(lengths)
        mask = cache.mask(lengths, self._device)
        # The id of padding does not matter, as it is masked; 0 is in every vocabulary.
        padded = [[0] * (longest - len(row)) + list(row) for row in tokens]
        positions = (mask.cumsum(-1) - 1).clamp(min=0)[:, -longest:]
        with ExitStack() as applied:
            for layers in self._layers:
                applied.enter_context(layers.applied(adapters, longest, self._device))
            output = self._model(
                input_ids=torch.tensor(padded, device=self._device),
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache.layers,
                use_cache=True,
                logits_to_keep=1,
            )
        cache.grown(lengths)
        logits: Tensor = output.logits[:, -1].float().cpu()
        return logits
