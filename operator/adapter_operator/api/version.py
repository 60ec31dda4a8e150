"""The operator's own version, as manifests record it. A test holds it to the package's."""

from typing import Final

OPERATOR_VERSION: Final = "0.1.0"
