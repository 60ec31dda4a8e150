"""The functions and operators that rules may call, with their signatures.

CEL's standard library, its optional types, its string extension (version 2) and Kubernetes' list and regex
libraries. Kubernetes' other libraries (quantities, URLs, IP addresses, formats, semantic versions, sets)
are known by name only, so that a rule that uses them is refused with a clear reason.
Signatures: ``cel-go`` v0.26 ``common/stdlib``, ``ext/strings.go``; ``k8s.io/apiserver/pkg/cel/library`` v0.36.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from adapter_devcluster.apiextensions.cel_types import Type, list_of, map_of, optional_of, type_of


@dataclass(frozen=True, slots=True)
class Overload:
    """One signature; a member's first argument is its receiver."""

    id: str
    args: tuple[Type, ...]
    result: Type
    member: bool


# Functions by name.
Functions: TypeAlias = Mapping[str, tuple[Overload, ...]]

_ORDERED = ("int", "uint", "double", "bool", "string", "bytes", "timestamp", "duration")
_CONVERSIONS = {
    "bool": "bool string",
    "bytes": "bytes string",
    "double": "double int string uint",
    "duration": "duration int string",
    "int": "int double duration string timestamp uint",
    "string": "string bool bytes double duration int timestamp uint",
    "timestamp": "timestamp int string",
    "uint": "uint double int string",
}
_GETTERS = {
    "timestamp": (
        "getFullYear getMonth getDayOfYear getDate getDayOfMonth getDayOfWeek "
        "getHours getMinutes getSeconds getMilliseconds"
    ),
    "duration": "getHours getMinutes getSeconds getMilliseconds",
}

# "name: receiver.(arguments) result", the receiver only for members.
_TABLE = """
_?_:_: (bool, A, A) A
_&&_: (bool, bool) bool
_||_: (bool, bool) bool
!_: (bool) bool
-_: (double) double
-_: (int) int
_==_: (A, A) bool
_!=_: (A, A) bool
_+_: (bytes, bytes) bytes
_+_: (double, double) double
_+_: (duration, duration) duration
_+_: (duration, timestamp) timestamp
_+_: (timestamp, duration) timestamp
_+_: (int, int) int
_+_: (list<A>, list<A>) list<A>
_+_: (string, string) string
_+_: (uint, uint) uint
_-_: (double, double) double
_-_: (duration, duration) duration
_-_: (int, int) int
_-_: (timestamp, duration) timestamp
_-_: (timestamp, timestamp) duration
_-_: (uint, uint) uint
_*_: (double, double) double
_*_: (int, int) int
_*_: (uint, uint) uint
_/_: (double, double) double
_/_: (int, int) int
_/_: (uint, uint) uint
_%_: (int, int) int
_%_: (uint, uint) uint
_[_]: (list<A>, int) A
_[_]: (map<A B>, A) B
_[_]: (optional<list<A>>, int) optional<A>
_[_]: (optional<map<A B>>, A) optional<B>
_[?_]: (list<A>, int) optional<A>
_[?_]: (optional<list<A>>, int) optional<A>
_[?_]: (map<A B>, A) optional<B>
_[?_]: (optional<map<A B>>, A) optional<B>
@in: (A, list<A>) bool
@in: (A, map<A B>) bool
type: (A) type<A>
dyn: (A) dyn
contains: string.(string) bool
endsWith: string.(string) bool
startsWith: string.(string) bool
matches: (string, string) bool
matches: string.(string) bool
charAt: string.(int) string
indexOf: string.(string) int
indexOf: string.(string, int) int
indexOf: list<A>.(A) int
lastIndexOf: string.(string) int
lastIndexOf: string.(string, int) int
lastIndexOf: list<A>.(A) int
lowerAscii: string.() string
upperAscii: string.() string
replace: string.(string, string) string
replace: string.(string, string, int) string
split: string.(string) list<string>
split: string.(string, int) list<string>
substring: string.(int) string
substring: string.(int, int) string
trim: string.() string
join: list<string>.() string
join: list<string>.(string) string
find: string.(string) string
findAll: string.(string) list<string>
findAll: string.(string, int) list<string>
optional.of: (A) optional<A>
optional.ofNonZeroValue: (A) optional<A>
optional.none: () optional<A>
hasValue: optional<A>.() bool
value: optional<A>.() A
or: optional<A>.(optional<A>) optional<A>
orValue: optional<A>.(A) A
"""

NOT_PROVIDED: Final = frozenset(
    """
    quantity isQuantity sign isInteger asInteger asApproximateFloat isGreaterThan isLessThan compareTo add sub
    url isURL getScheme getHost getHostname getPort getEscapedPath getQuery
    ip isIP family isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast
    ip.isCanonical cidr isCIDR containsIP containsCIDR masked prefixLength
    format.named validate format semver isSemver major minor patch sets.contains sets.equivalent sets.intersects
    distinct flatten lists.range reverse slice sort sortBy first last strings.quote
    optMap optFlatMap transformList transformMap transformMapEntry
    authorizer group resource path serviceAccount check
    """.split()  # noqa: SIM905 (a list of seventy quoted words would be harder to read)
)

_PARAMETERISED = {"list": list_of, "type": type_of, "optional": optional_of}


def _type(text: str) -> Type:
    match = re.fullmatch(r"(\w+)<(.+)>", text)
    if match is None:
        return Type("param", name=text) if text in {"A", "B"} else Type(text)
    if match[1] == "map":
        key, _, value = match[2].partition(" ")
        return map_of(_type(key), _type(value))
    return _PARAMETERISED[match[1]](_type(match[2]))


def _overload(name: str, signature: str) -> Overload:
    match = re.fullmatch(r"(?:(.+?)\.)?\((.*)\) (.+)", signature)
    if match is None:
        message = f"the signature of {name} can't be read: {signature}"
        raise ValueError(message)
    args = [text for text in (match[1], *match[2].split(", ")) if text]
    return Overload(f"{name}({', '.join(args)})", tuple(map(_type, args)), _type(match[3]), match[1] is not None)


def _lines() -> Iterator[str]:
    yield from _TABLE.strip().splitlines()
    for operator in ("<", "<=", ">", ">="):
        yield from (f"_{operator}_: ({kind}, {kind}) bool" for kind in _ORDERED)
        numbers = ("int", "uint", "double")
        yield from (f"_{operator}_: ({a}, {b}) bool" for a in numbers for b in numbers if a != b)
    for sized in ("bytes", "list<A>", "map<A B>", "string"):
        yield f"size: ({sized}) int"
        yield f"size: {sized}.() int"
    for target, sources in _CONVERSIONS.items():
        yield from (f"{target}: ({source}) {target}" for source in sources.split())
    for kind, getters in _GETTERS.items():
        for getter in getters.split():
            yield f"{getter}: {kind}.() int"
            if kind == "timestamp":
                yield f"{getter}: {kind}.(string) int"
    for kind in _ORDERED:
        yield f"isSorted: list<{kind}>.() bool"
        yield f"min: list<{kind}>.() {kind}"
        yield f"max: list<{kind}>.() {kind}"
    for kind in ("int", "uint", "double", "duration"):
        yield f"sum: list<{kind}>.() {kind}"


def _declared(lines: Iterable[str]) -> dict[str, tuple[Overload, ...]]:
    functions: dict[str, tuple[Overload, ...]] = {}
    for line in lines:
        name, _, signature = line.rpartition(": ")
        functions[name] = (*functions.get(name, ()), _overload(name, signature))
    return functions


FUNCTIONS: Final[Functions] = _declared(_lines())
# The language definition's own functions and macros: what every CEL implementation has.
CORE: Final = frozenset(
    {
        *(name for name in FUNCTIONS if not name[0].isalpha() and name != "_[?_]"),
        *("size", "type", "dyn", "contains", "endsWith", "startsWith", "matches"),
        *_CONVERSIONS,
        *(getter for getters in _GETTERS.values() for getter in getters.split()),
        *("has", "all", "exists", "exists_one", "map", "filter"),
    }
)
