"""From the name that a client sends to the version that answers; never to another one."""

from typing import Any

from adapter_contract import AdapterState
from adapter_server.gateway.errors import ApiError, not_ready
from adapter_server.gateway.keys import ApiKey
from adapter_server.sync.aliases import Aliases, Lease
from adapter_server.sync.synchronizer import Synchronizer

_WORDS = {
    AdapterState.WAITING: "its training has not published a version yet; try again later",
    AdapterState.REFUSED: "its version is refused, and another one is needed",
    AdapterState.FAILED: "it could not be brought up yet and is tried again; try again later",
}


class Models:
    """The base and the adapters, as one key sees them."""

    def __init__(self, aliases: Aliases, synchronizer: Synchronizer, started: int) -> None:
        self._aliases = aliases
        self._synchronizer = synchronizer
        self._started = started

    def lease(self, model: str, key: ApiKey) -> Lease:
        """Return a hold on the version that answers for a name from now to the end of the request.

        Raises:
            ApiError: 404 where the key may not see such a model, with the names that it may; 503 where the model
                is known, but no version of it is loaded.
        """
        if key.may_see(model):
            lease = self._aliases.lease(model)
            if lease is not None:
                return lease
            status = self._synchronizer.statuses.get(model)
            if status is not None and status.state is not AdapterState.UNLOADING:
                why = _WORDS.get(status.state, "it is being loaded; try again later")
                raise not_ready(f"model {model!r} is not ready: {why}", code="model_not_ready")
        names = ", ".join(self.names(key)) or "none"
        raise ApiError(
            404, f"model {model!r} does not exist here; there are: {names}", param="model", code="model_not_found"
        )

    def names(self, key: ApiKey) -> list[str]:
        """Return the names of all models that a key may see, the base first, those included that are not ready."""
        known = [
            name
            for name, status in sorted(self._synchronizer.statuses.items())
            if status.state is not AdapterState.UNLOADING
        ]
        return [name for name in (self._aliases.base_model_name, *known) if key.may_see(name)]

    def listing(self, key: ApiKey) -> dict[str, Any]:
        """Return the document of `GET /v1/models`: what answers now."""
        base, served = self._aliases.base_model_name, self._aliases.served
        data = [self._model(base, None, None)] if key.may_see(base) else []
        data += [self._model(name, base, served[name]) for name in sorted(served) if key.may_see(name)]
        return {"object": "list", "data": data}

    def _model(self, name: str, parent: str | None, digest: str | None) -> dict[str, Any]:
        document = {"id": name, "object": "model", "created": self._started, "owned_by": "adapter-operator"}
        return document if parent is None else {**document, "parent": parent, "digest": digest}
