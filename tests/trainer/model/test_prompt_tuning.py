import copy
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel, PromptEmbedding, PromptTuningConfig
from safetensors.torch import load_file, save_file

from adapter_contract import Quantization
from adapter_contract.recipe import PromptTuning
from adapter_testing.families_lab import changed, documents, largest_difference, logits_in_one_row, logits_one_by_one
from adapter_testing.learning_lab import FLOAT32, NF4
from adapter_trainer.errors import BadConfiguration, BadData
from adapter_trainer.model.attach import attach_adapter
from adapter_trainer.model.base import load_base
from adapter_trainer.model.methods.prompt_learning import PromptLearner
from adapter_trainer.model.methods.prompt_tuning import PromptTuningAdapter
from adapter_trainer.model.rows import behind_virtual_tokens, make_row
from adapter_trainer.model.saving import save_adapter
from adapter_trainer.training.objectives.objective import gradients
from adapter_trainer.training.objectives.supervised import Supervised

pytestmark = [
    pytest.mark.integration,
    # PEFT 0.21 asks transformers 5.23 by a name that is to go in version 6.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

TEXT = "the harbour office answers"
FOUR_BITS = NF4.model_copy(update={"compute_type": "Float32"})
LENGTHS = (11, 5, 23)


def tuned(base: Path, *, tokens: int = 6, held: Quantization = FLOAT32, text: str | None = None) -> PromptTuningAdapter:
    method = PromptTuning(virtual_tokens=tokens, initial_text=text)
    model = attach_adapter(load_base(base, held), method, parent=None, seed=0)
    assert isinstance(model, PromptTuningAdapter)
    return model


def by_peft(model: PromptLearner, directory: Path) -> PeftModel:
    """Return what PEFT makes of the saved adapter, on the same base with transformers' own attention.

    PEFT reads it for inference only, so its weight is made to be trained.
    """
    save_adapter(model, directory, base_model_name="tests/tiny-llama")
    base = copy.deepcopy(model.base.model)
    base.set_attn_implementation("sdpa")
    theirs = PeftModel.from_pretrained(base, directory)
    theirs.prompt_encoder.requires_grad_()
    return theirs


def test_a_row_is_laid_out_behind_virtual_tokens() -> None:
    row = make_row(documents([3, 4], learned_from=2), torch.device("cpu"))
    laid = behind_virtual_tokens(row, 2)
    assert torch.equal(laid.ids, row.ids)
    assert laid.positions.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5]]
    assert laid.lengths == [5, 6]
    # The first document's learned token follows place 2 + 1, the second one's follow 3 + 2 + 2 + 1 and the next.
    assert laid.before.tolist() == [3, 8, 9]
    assert torch.equal(laid.targets, row.targets)


@pytest.mark.parametrize("held", [FLOAT32, FOUR_BITS], ids=["float32", "four bits"])
def test_it_computes_what_peft_computes_and_so_are_its_gradients(
    tiny_base: Path, tmp_path: Path, held: Quantization
) -> None:
    model = changed(tuned(tiny_base, held=held))
    examples = documents(LENGTHS, learned_from=2)
    theirs = by_peft(model, tmp_path)
    rows = [theirs(input_ids=torch.tensor([list(example.tokens)])).logits[0] for example in examples]
    # PEFT's output begins with what follows the virtual tokens.
    expected = torch.cat([row[6 + 1 : -1] for row in rows])
    found = logits_in_one_row(model, examples)
    assert torch.allclose(found, expected, atol=1e-5)
    upstream = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (ours,) = torch.autograd.grad((found * upstream).sum(), model.weights())
    weight = theirs.prompt_encoder["default"].embedding.weight
    (other,) = torch.autograd.grad((expected * upstream).sum(), weight)
    assert largest_difference(ours, other) < 1e-5
    assert ours.abs().max() > 1e-3


@pytest.mark.parametrize("held", [FLOAT32, NF4], ids=["float32", "QLoRA's base"])
def test_documents_in_a_row_give_bit_for_bit_what_each_gives_alone(tiny_base: Path, held: Quantization) -> None:
    model = changed(tuned(tiny_base, tokens=16, held=held))
    examples = documents([16, 64, 32])
    assert torch.equal(logits_in_one_row(model, examples), logits_one_by_one(model, examples))


@pytest.mark.parametrize("held", [FLOAT32, NF4], ids=["float32", "QLoRA's base"])
def test_it_trains_saves_and_reloads_with_no_difference(tiny_base: Path, tmp_path: Path, held: Quantization) -> None:
    model = tuned(tiny_base, held=held)
    examples = documents(LENGTHS)
    before = logits_in_one_row(model, examples).detach()
    optimizer = torch.optim.AdamW(model.weights(), lr=0.05)
    losses = []
    for _ in range(20):
        loss, found = gradients(Supervised(), model, examples, sum(one.labelled_tokens for one in examples))
        (model.weights()[0].grad,) = found
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0] - 0.03
    after = logits_in_one_row(model, examples).detach()
    assert not torch.allclose(after, before, atol=1e-2)
    save_adapter(model, tmp_path, base_model_name="tests/tiny-llama")
    again = attach_adapter(load_base(tiny_base, held), PromptTuning(virtual_tokens=6), parent=tmp_path, seed=5)
    assert torch.equal(logits_in_one_row(again, examples), after)
    loaded = PeftModel.from_pretrained(load_base(tiny_base, held).model, tmp_path)
    assert torch.equal(loaded.prompt_encoder["default"].embedding.weight, model.learned)
    with torch.no_grad(), model.base.computing():
        ids = torch.tensor([list(examples[0].tokens)])
        assert torch.equal(loaded(input_ids=ids).logits, model.peft(input_ids=ids).logits)


@pytest.mark.parametrize(("text", "tokens"), [(TEXT, 3), (TEXT, 40), ("a", 1)])
def test_the_initial_text_gives_the_values_that_peft_gives(tiny_base: Path, text: str, tokens: int) -> None:
    model = tuned(tiny_base, tokens=tokens, text=text)
    config = PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=tokens,
        num_transformer_submodules=1,
        token_dim=32,
        prompt_tuning_init="TEXT",
        prompt_tuning_init_text=text,
        tokenizer_name_or_path=str(tiny_base),
    )
    theirs = PromptEmbedding(config, model.base.model.get_input_embeddings())
    assert torch.equal(model.learned, theirs.embedding.weight)


def test_without_a_text_it_begins_with_embeddings_of_the_vocabulary(tiny_base: Path) -> None:
    model = tuned(tiny_base, tokens=12)
    embeddings = model.base.model.get_input_embeddings().weight
    assert ((model.learned[:, None] == embeddings[None]).all(-1).any(-1)).all()
    assert len(model.learned.unique(dim=0)) > 6
    assert torch.equal(model.learned, tuned(tiny_base, tokens=12).learned)
    other = attach_adapter(load_base(tiny_base, FLOAT32), PromptTuning(virtual_tokens=12), parent=None, seed=1)
    assert not torch.equal(model.learned, other.weights()[0])


def test_what_is_published(tiny_base: Path, tmp_path: Path) -> None:
    model = tuned(tiny_base, text=TEXT)
    assert model.virtual_tokens == 6
    assert model.learned.dtype == torch.float32
    saved = save_adapter(model, tmp_path, base_model_name="tests/tiny-llama")
    assert (saved.facts.method, saved.facts.rank, saved.facts.target_modules) == ("PromptTuning", None, ())
    assert saved.facts.trainable_parameters == 6 * 32
    assert {name: list(tensor.shape) for name, tensor in load_file(saved.weights).items()} == {
        "prompt_embeddings": [6, 32]
    }
    config = json.loads(saved.config.read_text())
    assert (config["peft_type"], config["num_virtual_tokens"], config["token_dim"]) == ("PROMPT_TUNING", 6, 32)
    # A tokenizer of this machine would be looked for wherever the adapter is trained on.
    assert config["tokenizer_name_or_path"] is None
    assert str(tiny_base) not in saved.config.read_text()


def test_a_text_without_tokens_is_refused(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class NoTokens:
        def __call__(self, _: str) -> dict[str, list[int]]:
            return {"input_ids": []}

    monkeypatch.setattr("adapter_trainer.model.methods.prompt_tuning.load_tokenizer", lambda _: NoTokens())
    with pytest.raises(BadConfiguration, match=r"method.promptTuning.initialText: it has no tokens"):
        tuned(tiny_base, text="\n")


def spoil_config(directory: Path, **changes: object) -> None:
    path = directory / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_virtual_tokens": 8}, r"num_virtual_tokens 8, but method.promptTuning.virtualTokens asks for 6"),
        ({"peft_type": "PREFIX_TUNING"}, r"peft_type 'PREFIX_TUNING', but method.type asks for 'PROMPT_TUNING'"),
    ],
)
def test_a_parent_must_be_made_alike(tiny_base: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    save_adapter(tuned(tiny_base), tmp_path, base_model_name="tests/tiny-llama")
    spoil_config(tmp_path, **changes)
    with pytest.raises(BadConfiguration, match=message):
        attach_adapter(load_base(tiny_base, FLOAT32), PromptTuning(virtual_tokens=6), parent=tmp_path, seed=0)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"prompt_embeddings": torch.ones(6, 16)},
            r"holds prompt_embeddings of the shape \[6, 16\], but method and baseModel ask for \[6, 32\]",
        ),
        ({"other": torch.ones(6, 32)}, r"2 tensors differ, such as other"),
    ],
)
def test_a_parent_must_have_the_weights(
    tiny_base: Path, tmp_path: Path, tensors: dict[str, torch.Tensor], message: str
) -> None:
    saved = save_adapter(tuned(tiny_base), tmp_path, base_model_name="tests/tiny-llama")
    save_file(tensors, saved.weights)
    with pytest.raises(BadConfiguration, match=f"initializeFrom: .*{message}"):
        attach_adapter(load_base(tiny_base, FLOAT32), PromptTuning(virtual_tokens=6), parent=tmp_path, seed=0)
    saved.weights.write_bytes(b"cut")
    with pytest.raises(BadData, match="initializeFrom"):
        attach_adapter(load_base(tiny_base, FLOAT32), PromptTuning(virtual_tokens=6), parent=tmp_path, seed=0)


@pytest.mark.filterwarnings("ignore")  # the model has warnings of its own
def test_a_base_that_takes_one_document_in_a_row_can_be_tuned(tiny_base: Path) -> None:
    base = load_base(tiny_base, FLOAT32)
    alone = attach_adapter(
        dataclasses.replace(base, packable=False),
        PromptTuning(virtual_tokens=6),
        parent=None,
        seed=0,
    )
    base.model.set_attn_implementation("sdpa")
    examples = documents(LENGTHS)
    assert torch.allclose(logits_one_by_one(alone, examples), logits_in_one_row(tuned(tiny_base), examples), atol=1e-5)
