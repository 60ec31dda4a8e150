"""Canonical JSON by RFC 8785: one document, one sequence of bytes, hence one digest."""

import rfc8785


class NotCanonical(ValueError):
    """The value has no canonical JSON form: NaN, an integer beyond 2^53, a lone surrogate, a foreign type."""


def canonical_json(value: object) -> bytes:
    """Serialize a JSON value to its canonical UTF-8 bytes.

    Raises:
        NotCanonical: the value has no canonical form.
    """
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeError, AttributeError, TypeError, RecursionError) as error:
        raise NotCanonical(f"the document has no canonical JSON form: {error}") from error
