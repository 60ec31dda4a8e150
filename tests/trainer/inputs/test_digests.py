"""The digests of the inputs, and holding them to what preflight found."""

import pytest

from adapter_contract import ExitCode, ExpectedInputs, TrainerResult, input_digest, sha256_bytes
from adapter_trainer.errors import BadData
from adapter_trainer.inputs.digests import KnownDigests, require_expected

pytestmark = pytest.mark.unit

RECIPE, DATASET, EVALUATION, BASE, PARENT, OTHER = (
    sha256_bytes(word) for word in (b"recipe", b"dataset", b"evaluation", b"base", b"parent", b"other")
)
KNOWN = KnownDigests(dataset=DATASET, evaluation=EVALUATION, base=BASE, parent=PARENT).with_inputs(RECIPE)
EXPECTED = ExpectedInputs(
    dataset_digest=DATASET,
    evaluation_digest=EVALUATION,
    base_digest=BASE,
    parent_digest=PARENT,
    input_digest=input_digest(
        recipe_hash=RECIPE,
        dataset_digest=DATASET,
        evaluation_digest=EVALUATION,
        base_digest=BASE,
        parent_digest=PARENT,
    ),
)


def test_inputs_as_preflight_saw_them_pass() -> None:
    require_expected(KNOWN, EXPECTED)
    require_expected(KNOWN, None)


@pytest.mark.parametrize(
    ("field", "what"),
    [
        ("dataset_digest", "the dataset"),
        ("evaluation_digest", "the set of held-out examples"),
        ("base_digest", "the base model"),
        ("parent_digest", "the parent"),
        ("input_digest", "the whole of recipe and inputs"),
    ],
)
def test_other_inputs_are_refused_by_name(field: str, what: str) -> None:
    with pytest.raises(BadData, match=rf"^preflight\.expected: {what} has the digest sha256:.* but {OTHER} is wanted"):
        require_expected(KNOWN, EXPECTED.model_copy(update={field: OTHER}))


def test_an_expected_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadData, match="the parent has no digest"):
        require_expected(KnownDigests(DATASET, EVALUATION, BASE), EXPECTED)


def test_all_inputs_need_data_and_base() -> None:
    with pytest.raises(ValueError, match="come first"):
        KnownDigests(dataset=DATASET).with_inputs(RECIPE)


def test_a_result_tells_what_is_known() -> None:
    failed = TrainerResult(run=1, attempt=1, exit_code=ExitCode.BAD_DATA)
    told = KnownDigests(dataset=DATASET).on(failed)
    assert (told.dataset_digest, told.base_digest, told.input_digest) == (DATASET, None, None)
    assert KNOWN.on(failed).input_digest == EXPECTED.input_digest
