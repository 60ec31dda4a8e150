"""Which version answers for a model name, and how many requests each version has. Used on the event loop only."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from adapter_contract import Digest, engine_name


@dataclass(slots=True)
class _Uses:
    count: int = 0
    none_left: asyncio.Event = field(default_factory=asyncio.Event)


class Lease:
    """One request's hold on the version that answers it: pinned at its start, released at its end.

    Attributes:
        model: the name that the client sent.
        adapter: the engine's name of the version; None for the base.
        digest: of the adapter's version; None for the base.
    """

    def __init__(self, model: str, digest: Digest | None, uses: _Uses) -> None:
        self.model = model
        self.digest = digest
        self.adapter = None if digest is None else engine_name(model, digest)
        self._uses = uses
        self._held = True
        uses.count += 1
        uses.none_left.clear()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """End the hold; again it does nothing."""
        if self._held:
            self._held = False
            self._uses.count -= 1
            if not self._uses.count:
                self._uses.none_left.set()


class Aliases:
    """The served names. A switch is one assignment: a request sees the version before or the one after."""

    def __init__(self, base_model_name: str) -> None:
        self.base_model_name = base_model_name
        self._served: dict[str, Digest] = {}
        self._uses: dict[tuple[str, Digest], _Uses] = {}
        self._base_uses = _Uses()

    @property
    def served(self) -> Mapping[str, Digest]:
        """The adapters that answer, with the digest of the version that does."""
        return self._served

    def serve(self, name: str, digest: Digest) -> None:
        """Let a version answer for a name from now on."""
        self._served[name] = digest

    def withdraw(self, name: str) -> None:
        """Let nothing answer for a name from now on."""
        self._served.pop(name, None)

    def lease(self, name: str) -> Lease | None:
        """Return a hold on what answers for a name now; None where nothing does."""
        if name == self.base_model_name:
            return Lease(name, None, self._base_uses)
        digest = self._served.get(name)
        if digest is None:
            return None
        return Lease(name, digest, self._uses.setdefault((name, digest), _Uses()))

    async def wait_unused(self, name: str, digest: Digest) -> None:
        """Wait until no request holds a version; it must not be served any more."""
        uses = self._uses.get((name, digest))
        if uses is not None and uses.count:
            await uses.none_left.wait()
        self._uses.pop((name, digest), None)
