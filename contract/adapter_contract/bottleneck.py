"""The files of a bottleneck adapter, which the PEFT library has no format for.

What is computed. A block of the base has two sublayers, attention (`self_attn`) and feed-forward network (`mlp`). The
output y of an adapted one, [..., hidden], right behind its projection back to the hidden size, becomes

    y + up(act(down(y)))        down(y) = y @ down.weight.T + down.bias        up(h) = h @ up.weight.T + up.bias

which is then what the sublayer gives to the rest of its block. So the adapter's own skip connection is inside of it,
and the block's skip connection is added behind it. Where a model normalizes a sublayer's output before it adds it
(Gemma 2 and 3), the adapter is in front of that norm; where a block computes both sublayers from the same input (Phi),
each adapter still sees its own sublayer alone. `down`, `act` and `up` are computed in the compute type of the base,
to which the stored weights are rounded, and nothing is scaled.

Architectures: `Houlsby` adapts both sublayers (Houlsby et al. 2019, arXiv:1902.00751), `Pfeiffer` the feed-forward
network alone (Pfeiffer et al. 2020, arXiv:2005.00247; without that paper's layer norms, which models that normalize
their sublayers' inputs don't have there). Training starts with `up` at zero, at which the adapter changes nothing.

`adapter_model.safetensors` holds four tensors per adapted sublayer, in float32, float16 or bfloat16, and no others:
`<module>.bottleneck.down.weight` [size, hidden], `.down.bias` [size], `.up.weight` [hidden, size], `.up.bias` [hidden].
`adapter_config.json` is a `BottleneckConfig`. It is named in snake_case, as that file is of all other methods.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from adapter_contract.documents import parse_object
from adapter_contract.errors import FieldProblem, InvalidDocument
from adapter_contract.recipe import ModuleName
from adapter_contract.scalars import PositiveCount
from adapter_contract.trainer_config import ModelName

BOTTLENECK = "BOTTLENECK"
"""`peft_type` of a bottleneck adapter; no name of the PEFT library's."""

MAX_CONFIG_BYTES = 1 << 20

Architecture = Literal["Pfeiffer", "Houlsby"]
NonLinearity = Literal["relu", "silu"]
Shape = tuple[int, ...]

_KIND = "adapter_config.json of a bottleneck adapter"
_SUBLAYER = re.compile(r"^(?P<block>(?:.+\.)?layers\.\d+)\.(?P<sublayer>self_attn|mlp)$")
_SHOWN = 3


class BottleneckSettings(BaseModel):
    """What stands in adapter_config.json but for the name of the base.

    Attributes:
        peft_type: tells this method from those of the PEFT library.
        format_version: of this file and the tensors; another one is computed differently.
        architecture: which sublayers have an adapter.
        size: units of each bottleneck.
        hidden_size: features of the base's sublayers.
        non_linearity: `act`; gates are not known.
        modules: the adapted sublayers by their names in the base, which end with `layers.<number>.self_attn` or `.mlp`.
        task_type, inference_mode: as the PEFT library has them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    peft_type: Literal["BOTTLENECK"] = "BOTTLENECK"
    format_version: Literal[1] = 1
    architecture: Architecture
    size: PositiveCount
    hidden_size: PositiveCount
    non_linearity: NonLinearity
    modules: Annotated[tuple[ModuleName, ...], Field(min_length=1, max_length=4096)]
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"
    inference_mode: Literal[True] = True

    @model_validator(mode="after")
    def _modules_fit_the_architecture(self) -> Self:
        blocks: dict[str, set[str]] = {"self_attn": set(), "mlp": set()}
        for module in self.modules:
            match = _SUBLAYER.match(module)
            if match is None:
                raise ValueError(f"modules: {module} is no layers.<number>.self_attn or layers.<number>.mlp")
            if match["block"] in blocks[match["sublayer"]]:
                raise ValueError(f"modules: {module} stands twice")
            blocks[match["sublayer"]].add(match["block"])
        if self.architecture == "Pfeiffer" and blocks["self_attn"]:
            raise ValueError("modules: architecture Pfeiffer adapts no self_attn")
        if self.architecture == "Houlsby" and (odd := blocks["self_attn"] ^ blocks["mlp"]):
            raise ValueError(f"modules: architecture Houlsby adapts self_attn and mlp, but {min(odd)} has one only")
        return self


class BottleneckConfig(BottleneckSettings):
    """All of adapter_config.json.

    Attributes:
        base_model_name_or_path: the served name of the base.
    """

    base_model_name_or_path: ModelName

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the file, strictly: nothing unknown, nothing missing, nothing that contradicts itself.

        Raises:
            DocumentTooLarge: more than MAX_CONFIG_BYTES.
            NotJSON: not one JSON object.
            InvalidDocument: another method's file, another format version, or fields that don't fit, all of them.
        """
        return cls.from_object(parse_object(data, limit=MAX_CONFIG_BYTES))

    @classmethod
    def from_object(cls, document: Mapping[str, object]) -> Self:
        """Read what was parsed already; errors as in `from_json`."""
        if document.get("peft_type") != BOTTLENECK:
            found = document.get("peft_type")
            raise InvalidDocument(_KIND, [FieldProblem("peft_type", f"it is {found!r}, not {BOTTLENECK!r}")])
        if absent := sorted(cls.model_fields.keys() - document.keys()):
            raise InvalidDocument(_KIND, [FieldProblem(name, "it is missing") for name in absent])
        try:
            return cls.model_validate_json(json.dumps(document))
        except ValidationError as error:
            raise InvalidDocument(_KIND, _problems(error)) from error


def bottleneck_modules(names: Iterable[str], architecture: Architecture) -> tuple[str, ...]:
    """Return those of a base's modules that the architecture adapts, in their order; none where it finds no blocks.

    Args:
        names: of all modules of the base, such as `model.layers.0.mlp`.
        architecture: which sublayers it is about.
    """
    wanted = {"mlp"} if architecture == "Pfeiffer" else {"self_attn", "mlp"}
    return tuple(name for name in names if (match := _SUBLAYER.match(name)) and match["sublayer"] in wanted)


def bottleneck_tensors(module: str, *, size: int, hidden_size: int) -> dict[str, Shape]:
    """Return the tensors of one adapted sublayer: their names in adapter_model.safetensors, and their shapes."""
    shapes: dict[str, Shape] = {
        "down.weight": (size, hidden_size),
        "down.bias": (size,),
        "up.weight": (hidden_size, size),
        "up.bias": (hidden_size,),
    }
    return {bottleneck_tensor(module, part): shape for part, shape in shapes.items()}


def bottleneck_tensor(module: str, part: str) -> str:
    """Return the name of one tensor; `part` is `down.weight`, `down.bias`, `up.weight` or `up.bias`."""
    return f"{module}.bottleneck.{part}"


def find_bottleneck_problems(settings: BottleneckSettings, shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    """Return what is wrong with the tensors of adapter_model.safetensors: foreign, missing, or of another shape.

    Args:
        settings: what adapter_config.json says.
        shapes: of the tensors by their names.
    """
    expected: dict[str, Shape] = {}
    for module in settings.modules:
        expected |= bottleneck_tensors(module, size=settings.size, hidden_size=settings.hidden_size)
    problems = []
    if foreign := sorted(shapes.keys() - expected.keys()):
        problems.append(f"it holds what is no tensor of this adapter: {_some(foreign)}")
    if missing := sorted(expected.keys() - shapes.keys()):
        problems.append(f"tensors are missing: {_some(missing)}")
    problems += [
        f"{name} has the shape {list(shapes[name])}, not {list(shape)}"
        for name, shape in expected.items()
        if name in shapes and tuple(shapes[name]) != shape
    ]
    return tuple(problems)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _problems(error: ValidationError) -> list[FieldProblem]:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    # Where an element is wrong, pydantic also counts it as missing from its list; that is no second mistake.
    parents = {detail["loc"][:-1] for detail in details}
    return [
        FieldProblem(".".join(str(step) for step in detail["loc"]), detail["msg"].removeprefix("Value error, "))
        for detail in details
        if not (detail["type"] == "too_short" and detail["loc"] in parents)
    ]
