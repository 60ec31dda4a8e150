"""postStart and preStop hooks (``pkg/kubelet/lifecycle/handlers.go``, v1.36)."""

from __future__ import annotations

import asyncio

from adapter_devcluster.node.container_process import ContainerProcess, StartError
from adapter_devcluster.node.http_checks import CheckError, http_get, request_url
from adapter_devcluster.objects import Object, section

# Hooks have no limit of their own: preStop ends with the grace period.
_HTTP_SECONDS = 60.0


class HookError(Exception):
    """A hook failed; the message says how."""


async def run_hook(handler: Object, container: Object, process: ContainerProcess, pod_address: str) -> None:
    """Run a hook to its end. Raises HookError."""
    try:
        if action := handler.get("exec"):
            output = bytearray()
            code = await process.run_inside(action["command"], output.extend)
            if code != 0:
                said = output.decode(errors="replace")
                quoted = f"[{' '.join(action['command'])}]"
                raise HookError(f"command '{quoted}' exited with {code}: {said}")
        elif action := handler.get("httpGet"):
            await http_get(action, request_url(action, container, pod_address), _HTTP_SECONDS)
        elif "sleep" in handler:
            await asyncio.sleep(float(section(handler, "sleep").get("seconds") or 0))
        else:
            raise HookError("cannot run handler: unknown or unsupported (tcpSocket is deprecated)")
    except (CheckError, StartError) as error:
        raise HookError(str(error)) from error
