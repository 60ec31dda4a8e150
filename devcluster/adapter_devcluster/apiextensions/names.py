"""Kubernetes' rules for names, label keys and label values (``apimachinery/pkg/api/validate/content``, v0.36).

Every function returns what is wrong, in the server's words; nothing means that the text is fine.
"""

from __future__ import annotations

import re

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_DNS_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_KEY = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY_WORDS = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)


def _mismatch(words: str, pattern: str, *examples: str) -> str:
    shown = " or ".join(f"'{example}'," for example in examples)
    return f"{words} (e.g. {shown} regex used for validation is '{pattern}')"


def _too_long(limit: int) -> str:
    return f"must be no more than {limit} bytes"


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def check_dns_subdomain(text: str) -> list[str]:
    """Check the name of most objects: RFC 1123 labels joined by dots, at most 253 bytes."""
    problems = [_too_long(253)] if _size(text) > 253 else []
    if not re.fullmatch(_SUBDOMAIN, text):
        words = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
            "and must start and end with an alphanumeric character"
        )
        problems.append(_mismatch(words, _SUBDOMAIN, "example.com"))
    return problems


def check_dns_label(text: str) -> list[str]:
    """Check a namespace's name: one RFC 1123 label, at most 63 bytes."""
    problems = [_too_long(63)] if _size(text) > 63 else []
    if re.fullmatch(_LABEL, text):
        return problems
    if re.fullmatch(_SUBDOMAIN, text):
        return [*problems, "must not contain dots"]
    words = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character"
    )
    return [*problems, _mismatch(words, _LABEL, "my-name", "123-abc")]


def check_dns_1035_label(text: str) -> list[str]:
    """Check the names of a resource definition: one RFC 1035 label, at most 63 bytes."""
    problems = [_too_long(63)] if _size(text) > 63 else []
    if not re.fullmatch(_DNS_1035, text):
        words = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', "
            "start with an alphabetic character, and end with an alphanumeric character"
        )
        problems.append(_mismatch(words, _DNS_1035, "my-name", "abc-123"))
    return problems


def check_label_key(text: str) -> list[str]:
    """Check a qualified name, as label keys, annotation keys and finalizers are: ``prefix/name``."""
    shape = _mismatch(_KEY_WORDS, _KEY, "MyName", "my.name", "123-abc")
    prefix, slash, name = text.rpartition("/")
    if "/" in prefix:
        suffix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a valid label key {shape} {suffix}"]
    problems = []
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        problems += [f"prefix part {problem}" for problem in check_dns_subdomain(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    elif _size(name) > 63:
        problems.append(f"name part {_too_long(63)}")
    if not re.fullmatch(_KEY, name):
        problems.append(f"name part {shape}")
    return problems


def check_label_value(text: str) -> list[str]:
    """Check a label's value: empty, or like a key's name part."""
    problems = [_too_long(63)] if _size(text) > 63 else []
    pattern = f"({_KEY})?"
    if not re.fullmatch(pattern, text):
        words = (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
            "and must start and end with an alphanumeric character"
        )
        problems.append(_mismatch(words, pattern, "MyValue", "my_value", "12345"))
    return problems


def check_path_segment(text: str, *, is_prefix: bool = False) -> list[str]:
    """Check that a name can stand in a URL's path."""
    if text in {".", ".."} and not is_prefix:
        return [f"may not be '{text}'"]
    return [f"may not contain '{part}'" for part in "/%" if part in text]
