"""An operator with a daemon, a timer's cousin that runs as long as its boat is there, and a handler of raw events."""

import kopf


@kopf.daemon("harbour.example.dev", "v1", "boats", cancellation_timeout=1)
async def row(status, patch, **_):
    patch.status["aboard"] = status.get("aboard", 0) + 1
    raise kopf.TemporaryError("once more", delay=0.05)


@kopf.on.event("v1", "configmaps", labels={"log": kopf.PRESENT})
def note(type, name, body, **_):  # noqa: A002 - the name is Kopf's
    print(f"NOTED {type} {name} {body['data']['word']}", flush=True)
