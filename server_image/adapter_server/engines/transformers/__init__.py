"""This project's engine: one base model with any number of LoRA and bottleneck adapters, on transformers.

`engine` is the shell with the thread that owns the model; it steps the rows (`row`) that `admission` lets in.
`model_runner` computes logits for all rows at once over the `kv_cache`, with each row's own adapter (`adapter_layers`,
and of each method `lora_layers`, `bottleneck_layers`).
From logits to text: `sampling`, `detokenizer`, `stop_texts`. From files: `base_model`, `adapter_files` (of each
method `lora_files`, `bottleneck_files`), `prompts`.
"""

from adapter_server.engines.transformers.engine import TransformersEngine

__all__ = ["TransformersEngine"]
