"""Whether a live object still is as it is applied, whatever else the API server and others have added to it."""

from collections.abc import Mapping
from typing import Any, Final

from adapter_operator.build.quantities import amount_of

_QUANTITY_FIELDS: Final = frozenset({"requests", "limits", "sizeLimit"})


def differs(wanted: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Whether a field that is applied has another value in the live object, or the object is not there.

    Quantities are compared by their amount, since the API server writes `1000m` as `1`.
    """
    return live is None or not _holds(wanted, live, quantity=False)


def _holds(wanted: object, live: object, *, quantity: bool) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            # The API server leaves out what is empty.
            (key in live or not value)
            and _holds(value, live.get(key, value), quantity=quantity or key in _QUANTITY_FIELDS)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(live, list | tuple)
            and len(wanted) == len(live)
            and all(_holds(one, other, quantity=quantity) for one, other in zip(wanted, live, strict=True))
        )
    return wanted == live or (quantity and _same_amount(wanted, live))


def _same_amount(wanted: object, live: object) -> bool:
    try:
        return amount_of(str(wanted)) == amount_of(str(live))
    except ValueError:
        return False
