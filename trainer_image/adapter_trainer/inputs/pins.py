"""Digests that an input must have: pinned by the user, or found by preflight."""

from adapter_contract import Digest
from adapter_trainer.errors import BadData


def require_digest(what: str, found: Digest | None, wanted: Digest | None, field: str) -> None:
    """Refuse an input that has other bytes than it must have.

    Args:
        what: the input, for the message.
        found: its digest; None where there is no such input.
        wanted: the digest that it must have; None allows any.
        field: the field of the configuration that wants it.

    Raises:
        BadData: they differ.
    """
    if wanted is not None and found != wanted:
        raise BadData(
            f"{field}: {what} has {_shown(found)}, but {wanted} is wanted: it was changed since; "
            "restore it, or remove or renew the digest and start a new run"
        )


def _shown(digest: Digest | None) -> str:
    return "no digest" if digest is None else f"the digest {digest}"
