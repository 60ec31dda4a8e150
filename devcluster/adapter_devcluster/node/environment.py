"""The environment of a container, and its command line (``pkg/kubelet/kubelet_pods.go``, v1.36).

Of the node's own environment a container gets what programs need to run at all: `INHERITED`. HOME and TMPDIR are
folders of its own, CUDA_VISIBLE_DEVICES the GPUs that it asked for, and ADAPTER_BIND_ADDRESS the pod's address:
all pods share this machine's ports, so a program has to listen there and nowhere else.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from adapter_devcluster.node.downward import field_value, resource_value
from adapter_devcluster.node.stored_data import data_of
from adapter_devcluster.objects import Object, key, section

# PYTHONPATH and VIRTUAL_ENV: the project's images are run from this environment. LD_LIBRARY_PATH: where a
# machine keeps CUDA's libraries.
INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
# Resource -> its kind, as messages about keys and about whole objects have it.
_KINDS: Final = {"configmaps": ("ConfigMap", "configmap"), "secrets": ("Secret", "secret")}
_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\))")

# Gives a config map or a secret: resource, namespace, name.
Lookup = Callable[[str, str, str], Object | None]


class ConfigError(Exception):
    """Something that a container's environment names is missing (CreateContainerConfigError)."""


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replace ``$(NAME)`` by values; ``$$`` is one dollar, and an unknown name stays as it is."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        return "$" if name is None else env.get(name, found.group())

    return _REFERENCE.sub(value, text)


def inherited(image_env: Mapping[str, str]) -> dict[str, str]:
    """Return what every container has: parts of the node's environment, and the image's.

    This Python's own programs are found first: ``python`` in a pod is the one that runs the cluster.
    """
    env = {name: os.environ[name] for name in INHERITED if name in os.environ}
    own = str(Path(sys.executable).parent)
    return {**env, "PATH": os.pathsep.join([own, env.get("PATH", os.defpath)]), **image_env}


def container_environment(
    pod: Object, container: Object, base: Mapping[str, str], lookup: Lookup, allocatable: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment: ``base``, then ``envFrom``, then ``env``. Raises ConfigError."""
    namespace = key(pod)[0]
    env = dict(base)
    for source in container.get("envFrom") or []:
        env |= _env_from(source, namespace, lookup)
    for variable in container.get("env") or []:
        value = _value(variable, env, pod, container, lookup, allocatable)
        if value is not None:
            env[variable["name"]] = value
    return env


def command_line(container: Object, entrypoint: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return the command line: ``command``, or else the image's entry point, and ``args``."""
    command = container.get("command") or entrypoint
    return [expand(word, env) for word in [*command, *(container.get("args") or [])]]


def _env_from(source: Object, namespace: str, lookup: Lookup) -> dict[str, str]:
    prefix = str(source.get("prefix") or "")
    if reference := source.get("configMapRef"):
        found = _referenced("configmaps", namespace, reference, lookup)
    else:
        found = _referenced("secrets", namespace, section(source, "secretRef"), lookup)
    return {prefix + name: value for name, value in (found or {}).items()}


def _value(
    variable: Object,
    env: Mapping[str, str],
    pod: Object,
    container: Object,
    lookup: Lookup,
    allocatable: Mapping[str, str],
) -> str | None:
    if not (source := variable.get("valueFrom")):
        return expand(str(variable.get("value") or ""), env)
    if reference := source.get("configMapKeyRef"):
        return _keyed("configmaps", key(pod)[0], reference, lookup)
    if reference := source.get("secretKeyRef"):
        return _keyed("secrets", key(pod)[0], reference, lookup)
    try:
        if reference := source.get("fieldRef"):
            return field_value(pod, reference["fieldPath"])
        return resource_value(pod, container, section(source, "resourceFieldRef"), allocatable)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _keyed(resource: str, namespace: str, reference: Object, lookup: Lookup) -> str | None:
    """Read a key; None where it is missing and optional."""
    data = _referenced(resource, namespace, reference, lookup)
    if data is None:
        return None
    if reference["key"] not in data and not reference.get("optional"):
        kind = _KINDS[resource][0]
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {namespace}/{reference.get('name')}")
    return data.get(reference["key"])


def _referenced(resource: str, namespace: str, reference: Object, lookup: Lookup) -> dict[str, str] | None:
    name = str(reference.get("name") or "")
    found = lookup(resource, namespace, name)
    if found is not None:
        return {name: data.decode(errors="replace") for name, data in data_of(found).items()}
    if reference.get("optional"):
        return None
    raise ConfigError(f'{_KINDS[resource][1]} "{name}" not found')
