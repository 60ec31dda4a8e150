"""One reconciliation of a key: plan, look for strangers under the names that are to be written, execute."""

import logging
from collections.abc import Mapping
from typing import Final

from adapter_operator.handlers.planners import Planner
from adapter_operator.runtime.errors import Conflict, NamespaceTerminating
from adapter_operator.runtime.executor import Executor, NameTaken
from adapter_operator.runtime.objects import Key, Object, is_being_deleted
from adapter_operator.runtime.store import Store

_LOG = logging.getLogger(__name__)

_MOST_PLANS: Final = 8


class Reconciler:
    """Reconciles keys. Errors are the caller's, who tries again."""

    def __init__(self, store: Store, executor: Executor, planners: Mapping[str, Planner]) -> None:
        self._store = store
        self._executor = executor
        self._planners = planners

    async def __call__(self, key: Key) -> float | None:
        """Bring one resource closer to what it should be; returns the seconds after which to look again.

        Raises:
            ApiError: of a call.
            Conflict: the world changes faster than we plan.

        """
        strangers: list[Object] = []
        for _ in range(_MOST_PLANS):
            owner = self._store.get(*key)
            if owner is None or is_being_deleted(owner):
                # The garbage collector takes the children.
                return None
            plan = await self._planners[key.kind].plan(owner, strangers)
            unseen = await self._executor.unseen(plan, strangers)
            if unseen:
                strangers += unseen
                continue
            try:
                return await self._executor.execute(owner, plan)
            except NameTaken as taken:
                strangers.append(taken.live)
            except NamespaceTerminating as error:
                _LOG.debug("%s: %s", key, error)
                return None
        raise Conflict(f"{key}: {_MOST_PLANS} plans in a row met objects that nobody knew of")
