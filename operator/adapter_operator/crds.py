"""Writes what is generated from the API models: `crds/`, the CRD chart and `docs/api.md`.

    python -m adapter_operator.crds [--check] [--breaking]

`--check` writes nothing and fails if a file is stale. Without `--breaking` it refuses to write a schema that takes
back what the present files promise.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adapter_contract.exit_codes import ExitCode, RetryPolicy
from adapter_operator.api.schema.compatibility import incompatibilities
from adapter_operator.api.schema.crd import custom_resource_definition
from adapter_operator.api.schema.reference import kind_reference
from adapter_operator.api.v1alpha1.conditions_reference import conditions_reference
from adapter_operator.api.v1alpha1.kinds import API_VERSION, CATEGORIES, GROUP, KINDS, VERSION
from adapter_operator.api.v1alpha1.names import CHILDREN

_GENERATED = "# Generated from the models in operator/adapter_operator/api by `make crds`. Edit those.\n"
_CHART = Path("charts/adapter-operator-crds")
_KEEP = """\
  {{- if .Values.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


_THEN = {
    RetryPolicy.INTERRUPTION: "the next attempt at once; it counts against nothing",
    RetryPolicy.BACKOFF_UNTIL_DEADLINE: "tried again after growing pauses, until the deadline",
    RetryPolicy.COUNTED_RETRY: "tried again as often as `retries.failure` allows",
    RetryPolicy.NEVER: "not tried again: something must be changed",
}


class _PlainDumper(yaml.SafeDumper):
    """Writes a repeated list out each time: anchors would wander through every diff."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base's signature
        return True


def definitions() -> dict[str, dict[str, Any]]:
    """The CustomResourceDefinitions by file name."""
    return {
        f"{GROUP}_{kind.plural}.yaml": custom_resource_definition(kind, GROUP, VERSION, CATEGORIES) for kind in KINDS
    }


def generated_files() -> dict[Path, str]:
    """Every generated file: path relative to the repository, and content."""
    files: dict[Path, str] = {}
    for name, definition in definitions().items():
        text = yaml.dump(definition, Dumper=_PlainDumper, sort_keys=False, width=110, allow_unicode=True)
        files[Path("crds") / name] = _GENERATED + text
        files[_CHART / "templates" / name] = _GENERATED + _chart_template(text)
    files[Path("docs/api.md")] = "\n".join(_api_reference()) + "\n"
    return files


def breaking_changes(root: Path) -> Iterator[str]:
    """What the models take back from the files that are there."""
    for name, definition in definitions().items():
        path = root / "crds" / name
        if path.exists():
            yield from definition_changes(yaml.safe_load(path.read_text(encoding="utf-8")), definition)


def definition_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """What one definition takes back from an older one: versions, names, subresources, schema."""
    for key in ("group", "scope", "names"):
        if old["spec"][key] != new["spec"][key]:
            yield f"{key} was {old['spec'][key]}, is {new['spec'][key]}"
    versions = {version["name"]: version for version in new["spec"]["versions"]}
    for before in old["spec"]["versions"]:
        after = versions.get(before["name"])
        if after is None:
            yield f"version {before['name']} disappeared"
            continue
        if before["subresources"] != after["subresources"]:
            yield f"{before['name']}: subresources were {before['subresources']}, are {after['subresources']}"
        if before["served"] and not after["served"]:
            yield f"{before['name']} is no longer served"
        columns = {column["name"] for column in after["additionalPrinterColumns"]}
        for column in before["additionalPrinterColumns"]:
            if column["name"] not in columns:
                yield f"{before['name']}: the column {column['name']} disappeared"
        yield from incompatibilities(before["schema"]["openAPIV3Schema"], after["schema"]["openAPIV3Schema"])


def main(arguments: list[str] | None = None) -> int:
    """Write or check the generated files below the working directory; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m adapter_operator.crds", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    parser.add_argument("--breaking", action="store_true", help="write even if the API takes something back")
    options = parser.parse_args(arguments)
    root = Path.cwd()
    files = generated_files()
    stale = [path for path, text in files.items() if not _is_current(root / path, text)]
    if options.check:
        for path in stale:
            print(f"{path} is stale: run `make crds` and commit it", file=sys.stderr)
        return 1 if stale else 0
    changes = list(breaking_changes(root))
    if changes and not options.breaking:
        print("The API would take back what is committed:", *changes, sep="\n  ", file=sys.stderr)
        print("Make it additive, or run with --breaking and say why in the commit.", file=sys.stderr)
        return 1
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(files[path], encoding="utf-8")
        print(f"wrote {path}")
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _chart_template(text: str) -> str:
    """The definition as a chart's template: Helm upgrades it, and leaves it when the chart is uninstalled."""
    if "{{" in text:
        raise ValueError("a description holds {{, which Helm would read as a template")
    head, separator, tail = text.partition("spec:\n")
    return head + _KEEP + separator + tail


def _api_reference() -> Iterator[str]:
    yield from [
        "<!-- Generated from the models by `make crds`. -->",
        f"# API reference: {API_VERSION}",
        "",
        "Decimal numbers are strings, so quote them. A field that is left out has its default; null means left out.",
        "",
    ]
    for kind in KINDS:
        yield from kind_reference(kind)
    yield from conditions_reference()
    yield from ["## Exit codes of the trainer", "", "| code | class | then |", "|---|---|---|"]
    for code in ExitCode:
        yield f"| {code.value} | {code.failure_class or 'success'} | {_THEN[code.retry] if code else 'done'} |"
    yield ""
    yield from ["## Child objects", "", "| owner | kind | name | purpose |", "|---|---|---|---|"]
    for child in CHILDREN:
        yield f"| {child.owner} | {child.kind} | `{child.pattern}` | {child.purpose} |"


if __name__ == "__main__":
    sys.exit(main())
