"""What a Kubernetes API server does with a custom resource against its CustomResourceDefinition.

Pure functions over plain JSON values, for any definition: is its schema acceptable (`check_crd`), and what
becomes of an object (`Schema.admit_create`, `Schema.admit_update`)? The messages, their order and their
fields are those of Kubernetes 1.36.
"""

from __future__ import annotations

from adapter_devcluster.apiextensions.admission import Admitted, FieldValidation, Refused, Schema, Subresource
from adapter_devcluster.apiextensions.cel_cost import CRD_LIMIT, RULE_LIMIT, outside_core, used_functions
from adapter_devcluster.apiextensions.columns import Column, Columns
from adapter_devcluster.apiextensions.crd import CheckedSchema, check_crd, check_openapi_schema
from adapter_devcluster.apiextensions.crd_schema import RuleCost, SchemaReport
from adapter_devcluster.apiextensions.decoding import UndecodableError
from adapter_devcluster.apiextensions.errors import (
    FieldError,
    NotJsonError,
    Reason,
    SchemaError,
    bad_request_status,
    invalid_status,
)
from adapter_devcluster.apiextensions.resource import Resource, Scale
from adapter_devcluster.apiextensions.structural import compile_schema

__all__ = [
    "CRD_LIMIT",
    "RULE_LIMIT",
    "Admitted",
    "CheckedSchema",
    "Column",
    "Columns",
    "FieldError",
    "FieldValidation",
    "NotJsonError",
    "Reason",
    "Refused",
    "Resource",
    "RuleCost",
    "Scale",
    "Schema",
    "SchemaError",
    "SchemaReport",
    "Subresource",
    "UndecodableError",
    "bad_request_status",
    "check_crd",
    "check_openapi_schema",
    "compile_schema",
    "invalid_status",
    "outside_core",
    "used_functions",
]
