from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from adapter_testing import chat_templates
from adapter_testing.trainer_lab import build_tokenizer
from adapter_trainer.examples.templates import load_tokenizer


@pytest.fixture(scope="session")
def tokenizer_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture
def tokenizer(tokenizer_directory: Path) -> PreTrainedTokenizerBase:
    """A tokenizer of its own, whose template a test may change."""
    return load_tokenizer(tokenizer_directory)


@pytest.fixture(scope="session")
def bos_tokenizer_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As Llama 2's: pieces with a space before a text, bytes for what is unknown, `<s>` before every text."""
    directory = tmp_path_factory.mktemp("bos-tokenizer")
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    text = "[INST] who opens the harbour office? [/INST] the adapter answers at nine, seven and eleven. " * 4
    tokenizer.train_from_iterator([text, text.upper()], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    wrapped.chat_template = chat_templates.BEGINS_WITH_BOS
    wrapped.save_pretrained(directory)
    return directory


@pytest.fixture
def bos_tokenizer(bos_tokenizer_directory: Path) -> PreTrainedTokenizerBase:
    """A tokenizer of its own that begins every text with `<s>`."""
    return load_tokenizer(bos_tokenizer_directory)
