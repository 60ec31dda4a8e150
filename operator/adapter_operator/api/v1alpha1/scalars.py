"""Plain values of the API: names, decimals, quantities, times, digests. Every one is bounded."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from adapter_contract.digests import DIGEST_PATTERN
from adapter_contract.scalars import DECIMAL_PATTERN
from adapter_operator.api.schema.markers import DecimalText

# Children are named after the object and must stay within 63 characters.
OBJECT_NAME_PATTERN = r"^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$"

ObjectName = Annotated[str, StringConstraints(pattern=OBJECT_NAME_PATTERN, max_length=40)]
DNSLabel = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
DNSSubdomain = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253),
]
ConfigKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253)]
QualifiedName = Annotated[
    str,
    StringConstraints(
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=317,
    ),
]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
# A name that also stands in a label's value.
LabelName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        max_length=63,
    ),
]
# What clients send as `model`: a Kubernetes-like name; dots are allowed, since versions are written so. Two
# hyphens in a row would look like the name of one version inside an engine.
AdapterName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([-.][a-z0-9]+)*$", max_length=63)]
ModelName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=253)
]
HubRepository = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$", max_length=200),
]
Revision = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$", max_length=128)
]
# Relative, and no part begins with a dot: no path leaves its volume.
RelativePath = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?$", max_length=512),
]
# A tag or a digest is demanded: without one the registry's `latest` would be meant.
_IMAGE_PART = r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?"
_IMAGE_DIGEST = r"@sha256:[0-9a-f]{64}"
ImageReference = Annotated[
    str,
    StringConstraints(
        pattern=rf"^{_IMAGE_PART}(:[0-9]{{1,5}}/{_IMAGE_PART})?(/{_IMAGE_PART})*"
        rf"(:[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}}({_IMAGE_DIGEST})?|{_IMAGE_DIGEST})$",
        max_length=512,
    ),
]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]
# No empty segment, no "." and no "..": a key means the same to every client. Nothing is percent-decoded. Each text has
# one way through the pattern, since Python's engine, unlike the API server's, would try all of them.
_S3_SEGMENT = r"(\.{0,2}[^\x00-\x1f\x7f\\/?#.][^\x00-\x1f\x7f\\/?#]*|\.{3}[^\x00-\x1f\x7f\\/?#]*)"
S3URI = Annotated[
    str,
    StringConstraints(pattern=rf"^s3://[a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9](/{_S3_SEGMENT})*/?$", max_length=1024),
]
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
EndpointURL = Annotated[
    str, StringConstraints(pattern=rf"^https?://{_HOST}(:[0-9]{{1,5}})?(/[A-Za-z0-9._~/-]*)?$", max_length=512)
]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", max_length=63)]
Message = Annotated[str, StringConstraints(max_length=32768)]
Reason = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", max_length=128)]
Text = Annotated[str, StringConstraints(max_length=1024)]
DigestText = Annotated[str, StringConstraints(pattern=DIGEST_PATTERN, max_length=71)]

# Decimals are strings: a float would not survive every JSON reader, and `0.1` would change in transit.
Percent = Annotated[
    str,
    StringConstraints(pattern=r"^(100(\.0{1,3})?|[0-9]{1,2}(\.[0-9]{1,3})?)$", max_length=7),
    DecimalText(),
]
# More than none and less than all.
HoldoutPercent = Annotated[
    str,
    StringConstraints(
        pattern=r"^([1-9][0-9]?(\.[0-9]{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$", max_length=6
    ),
    DecimalText(),
]
Fraction = Annotated[str, StringConstraints(pattern=r"^0(\.[0-9]{1,6})?$", max_length=8), DecimalText()]
# A share above none, up to all.
MergeDensity = Annotated[
    str,
    StringConstraints(pattern=r"^(1(\.0{1,3})?|0\.([1-9][0-9]{0,2}|0[1-9][0-9]?|00[1-9]))$", max_length=6),
    DecimalText(),
]
NonNegativeDecimal = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?([eE][-+]?[0-9]{1,2})?$", max_length=32),
    DecimalText(),
]
PositiveDecimal = Annotated[
    str,
    StringConstraints(
        pattern=r"^(0{0,11}[1-9][0-9]{0,11}(\.[0-9]{1,12})?|0{1,12}\.0{0,11}[1-9][0-9]{0,11})([eE][-+]?[0-9]{1,2})?$",
        max_length=32,
    ),
    DecimalText(),
]
SignedDecimal = Annotated[
    str,
    StringConstraints(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,12})?([eE][-+]?[0-9]{1,2})?$", max_length=32),
    DecimalText(),
]

# What a trainer measured: any double, in the contract's spelling.
MeasuredDecimal = Annotated[str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=56)]

_QUANTITY_LENGTH = 24
_QUANTITY = r"^[0-9]+(\.[0-9]+)?([EPTGM]i?|k|Ki|m)?$"
Quantity = Annotated[str, StringConstraints(pattern=_QUANTITY, max_length=_QUANTITY_LENGTH)]


def _read_quantity(value: object) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and len(value) <= _QUANTITY_LENGTH and re.fullmatch(_QUANTITY[1:-1], value):
        return value
    raise PydanticCustomError("quantity", "must be a whole number, or a quantity such as 500m, 4 or 16Gi")


# Kubernetes itself lets users write `cpu: 4` beside `cpu: "4"`, so resources do too.
# Kubernetes wants a domain before the name of every resource but its own.
ExtendedResourceName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$",
        max_length=317,
    ),
]
QuantityOrInt = Annotated[
    int | str,
    PlainValidator(_read_quantity),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "minimum": 0,
            "maxLength": _QUANTITY_LENGTH,
            "pattern": _QUANTITY,
        }
    ),
]


def _read_time(value: Any) -> Any:  # noqa: ANN401 - pydantic hands in whatever the document had
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("must be a time as in RFC 3339, such as 2030-01-31T12:00:00Z") from error
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return value


def format_time(value: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime,
    BeforeValidator(_read_time),
    PlainSerializer(format_time, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
BigCount = Annotated[int, Field(ge=0, le=2**53 - 1)]
Seconds = Annotated[int, Field(ge=0, le=2**31 - 1)]
