"""Resources near the border of validity: an example, changed in a few places as its schema suggests."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Schema = Mapping[str, Any]

_UNKNOWN = ["unknown", "Name", "s3s", "batch_size", "base_model", "max_rank"]
_WRONG: list[Any] = ["", "nope", "Ü", "7", 7, -1, 10**12, 0.5, True, False, [], {}, [None], {"a": None}, ["a", "a"]]


@st.composite
def mutated(draw: st.DrawFn, documents: list[dict[str, Any]], schema: Schema, limit: int = 4) -> dict[str, Any]:
    """One of the documents with up to `limit` values set, removed, nulled or added somewhere in spec and metadata.

    Args:
        draw: given by hypothesis.
        documents: valid resources to begin with.
        schema: the root schema of their kind.
        limit: most changes.

    """
    document = deepcopy(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, limit))):
        if draw(st.integers(0, 19)) == 0:
            document["metadata"]["name"] = draw(st.one_of(st.text(max_size=45), st.sampled_from(["a", "a" * 41])))
            continue
        containers = list(_objects(document.get("spec"), schema["properties"]["spec"]))
        if not containers:
            break
        target, part = draw(st.sampled_from(containers))
        _change(draw, target, part)
    return document


def _change(draw: st.DrawFn, target: dict[str, Any], schema: Schema) -> None:
    properties: Mapping[str, Schema] = schema["properties"]
    name = draw(st.sampled_from(sorted(properties)))
    action = draw(st.integers(0, 9))
    if action == 0:
        target.pop(name, None)
    elif action == 1:
        target[name] = None
    elif action == 2:
        target[draw(st.sampled_from(_UNKNOWN))] = deepcopy(draw(st.sampled_from(_WRONG)))
    elif action <= 4:
        target[name] = deepcopy(draw(st.sampled_from(_WRONG)))
    else:
        target[name] = draw(values(properties[name]))


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Mostly valid values of a schema, its borders and one step beyond them."""
    if schema.get("x-kubernetes-int-or-string"):
        return st.one_of(st.integers(-1, 2**31), st.sampled_from(["4", "4Gi", "1.5", "four", ""]))
    if "enum" in schema:
        return st.sampled_from([*schema["enum"], schema["enum"][0].lower()])
    return _OF_TYPE[schema["type"]](schema)


def _integers(schema: Schema) -> st.SearchStrategy[Any]:
    low, high = schema.get("minimum", 0), schema.get("maximum", 2**31 - 1)
    return st.one_of(st.sampled_from([low - 1, low, high, high + 1]), st.integers(low, high))


def _lists(schema: Schema) -> st.SearchStrategy[Any]:
    return st.lists(values(schema["items"]), max_size=min(4, schema["maxItems"] + 1))


def _maps_or_structs(schema: Schema) -> st.SearchStrategy[Any]:
    if "additionalProperties" in schema:
        keys = st.sampled_from(["a", "team", "cpu", "adapters.dev/x", "adapters.dev", "nvidia.com/gpu"])
        return st.dictionaries(keys, values(schema["additionalProperties"]), max_size=3)
    return _structs(schema)


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    longest = schema.get("maxLength", 64)
    plain = st.one_of(st.text(max_size=12), st.just("a" * (longest + 1)), st.just("a" * longest))
    if "pattern" not in schema:
        return plain
    fitting = st.from_regex(schema["pattern"], fullmatch=False, alphabet=st.characters(codec="ascii"))
    return st.one_of(fitting.filter(lambda text: len(text) <= longest + 1), fitting, plain)


@st.composite
def _structs(draw: st.DrawFn, schema: Schema) -> dict[str, Any]:
    properties: Mapping[str, Schema] = schema["properties"]
    required = schema.get("required", [])
    optional = sorted(set(properties) - set(required))
    chosen = draw(st.lists(st.sampled_from(optional), max_size=3, unique=True)) if optional else []
    return {name: draw(values(properties[name])) for name in [*required, *chosen]}


def _objects(value: Any, schema: Schema) -> Iterator[tuple[dict[str, Any], Schema]]:
    """Every object in a document that its schema knows, with that schema."""
    if isinstance(value, dict) and "properties" in schema:
        yield value, schema
        for name, child in value.items():
            if name in schema["properties"]:
                yield from _objects(child, schema["properties"][name])
    elif isinstance(value, list) and "items" in schema:
        for item in value:
            yield from _objects(item, schema["items"])


_OF_TYPE: Mapping[str, Callable[[Schema], st.SearchStrategy[Any]]] = {
    "array": _lists,
    "boolean": lambda _: st.booleans(),
    "integer": _integers,
    "object": _maps_or_structs,
    "string": _strings,
}
