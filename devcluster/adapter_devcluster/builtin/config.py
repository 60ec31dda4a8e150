"""ConfigMaps, Secrets and ServiceAccounts (``pkg/registry/core/{configmap,secret,serviceaccount}``, v1.36)."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import orjson

from adapter_devcluster.apiextensions import FieldError
from adapter_devcluster.apiextensions.errors import forbidden, index, invalid, required, too_long
from adapter_devcluster.builtin import checks
from adapter_devcluster.builtin.strategy import Strategy
from adapter_devcluster.objects import Object, annotations_of

_LARGEST: Final = 1024 * 1024
_FROZEN: Final = "field is immutable when `immutable` is set"
_ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"
# What each type of secret has to hold; of several keys in one entry, any.
_REQUIRED_KEYS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "kubernetes.io/dockercfg": ((".dockercfg",),),
    "kubernetes.io/dockerconfigjson": ((".dockerconfigjson",),),
    "kubernetes.io/basic-auth": (("username", "password"),),
    "kubernetes.io/ssh-auth": (("ssh-privatekey",),),
    "kubernetes.io/tls": (("tls.crt",), ("tls.key",)),
}


def _check_keys(keys: Iterable[str], path: str) -> Iterator[FieldError]:
    for key in keys:
        for problem in checks.config_key_problems(key):
            yield invalid(index(path, key), key, problem)


def _decoded_size(data: Mapping[str, str]) -> int:
    return sum(len(base64.b64decode(value)) for value in data.values())


def _check_config_map(obj: Object) -> Iterator[FieldError]:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    yield from _check_keys(data, "data")
    for key in data.keys() & binary.keys():
        detail = "duplicate of key present in binaryData"
        yield invalid(index("data", key), key, detail)
    yield from _check_keys(binary, "binaryData")
    if sum(len(value.encode()) for value in data.values()) + _decoded_size(binary) > _LARGEST:
        yield too_long("", _LARGEST)


def _check_frozen(new: Object, old: Object, *fields: str) -> Iterator[FieldError]:
    if old.get("immutable") is not True:
        return
    if new.get("immutable") is not True:
        yield forbidden("immutable", _FROZEN)
    for name in fields:
        if (new.get(name) or {}) != (old.get(name) or {}):
            yield forbidden(name, _FROZEN)


def _check_config_map_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from _check_frozen(new, old, "data", "binaryData")


def _default_secret(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    texts = obj.pop("stringData", None)
    if texts:
        written = {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}
        obj["data"] = {**(obj.get("data") or {}), **written}


def _check_secret(obj: Object) -> Iterator[FieldError]:
    data, kind = obj.get("data") or {}, obj["type"]
    yield from _check_keys(data, "data")
    if _decoded_size(data) > _LARGEST:
        yield too_long("data", _LARGEST)
    if kind == "kubernetes.io/service-account-token" and not annotations_of(obj).get(_ACCOUNT_NAME):
        yield required(index("metadata.annotations", _ACCOUNT_NAME))
    for either in _REQUIRED_KEYS.get(kind, ()):
        if not any(key in data for key in either):
            yield from (required(index("data", key)) for key in either)
    if kind.startswith("kubernetes.io/dockerc"):
        yield from _check_docker(data, _REQUIRED_KEYS[kind][0][0])


def _check_docker(data: Mapping[str, str], key: str) -> Iterator[FieldError]:
    if key in data:
        try:
            orjson.loads(base64.b64decode(data[key]))
        except ValueError as error:
            yield invalid(index("data", key), "<secret contents redacted>", str(error))


def _check_secret_update(new: Object, old: Object) -> Iterator[FieldError]:
    yield from checks.unchanged(new, old, "", "type")
    yield from _check_frozen(new, old, "data")


def _check_account(obj: Object) -> Iterator[FieldError]:
    for name in ("secrets", "imagePullSecrets"):
        for at, one in checks.items_of(obj, name, ""):
            yield from checks.named(one, at, "name")


CONFIG_MAPS: Final = Strategy(check=_check_config_map, check_update=_check_config_map_update)
SECRETS: Final = Strategy(defaults=_default_secret, check=_check_secret, check_update=_check_secret_update)
SERVICE_ACCOUNTS: Final = Strategy(check=_check_account)
