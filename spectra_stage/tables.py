"""The tables of the Source stage and of the Prepare stage, each declared once."""

from __future__ import annotations

from typing import Any

from spectra_logging.tables import Column, TableSpec

__all__ = [
    "HTTP_METHODS",
    "PREPARE_TABLES",
    "SOURCE_CONFIG",
    "SOURCE_CREDENTIALS",
    "SOURCE_ENDPOINTS",
    "SOURCE_PORTFOLIO",
    "SOURCE_TABLES",
    "table_path",
]

HTTP_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")
"""The methods an endpoint may have."""


def table_path(spec: TableSpec) -> str:
    """Where a stage's table is below the lakehouse: ``Tables/source/endpoints``."""
    return "Tables/" + spec.name.replace(".", "/")


def _required(name: str, type: str, comment: str, **valid: Any) -> Column:
    return Column(name=name, type=type, nullable=False, comment=comment, **valid)


def _optional(name: str, type: str, comment: str, **valid: Any) -> Column:
    return Column(name=name, type=type, comment=comment, **valid)


SOURCE_PORTFOLIO = TableSpec(
    name="source.portfolio",
    comment="What a source system offers: one row a source system.",
    keys=("source_system",),
    columns=(
        _required("source_system", "string", "Key of the source system."),
        _required(
            "contract_version",
            "string",
            "Version of the contract with it, X.Y.Z.",
            pattern=r"[0-9]+\.[0-9]+\.[0-9]+",
        ),
        _required("discovery_date", "date", "When it was first discovered; reruns keep it."),
        _required("total_endpoints", "integer", "Rows of source.endpoints.", minimum=0),
        _required("endpoint_categories", "string", "Endpoints by category, JSON.", json="object"),
        _required("hierarchical_endpoints", "integer", "Those with path parameters.", minimum=0),
        _required("auth_method", "string", "How the source authenticates, apiToken."),
        _required(
            "auth_status",
            "string",
            "Success, Failed or Unknown.",
            allowed_values=("Success", "Failed", "Unknown"),
        ),
        _optional("last_auth_check", "timestamp", "When it was last authenticated against."),
        _required(
            "hierarchical_access_validated",
            "boolean",
            "Whether a resource below the first project could be read.",
        ),
        _required(
            "endpoint_success_rate",
            "double",
            "Share of the endpoints tried that answered.",
            minimum=0,
            maximum=1,
        ),
        _required("supports_incremental", "boolean", "Whether it can tell what changed."),
        _required("status", "string", "active.", allowed_values=("active",)),
        _required("is_enabled", "boolean", "Whether downstream stages read from it."),
        _required("last_updated", "timestamp", "When this row was written."),
    ),
)
"""``source.portfolio``: what a source system offers."""

SOURCE_CONFIG = TableSpec(
    name="source.config",
    comment="How the Source stage last ran: one row a setting.",
    keys=("config_key",),
    columns=(
        _required("config_key", "string", "The setting."),
        _required("config_value", "string", "Its value."),
        _required("last_updated", "timestamp", "When this row was written."),
    ),
)
"""``source.config``: how the Source stage last ran."""

SOURCE_CREDENTIALS = TableSpec(
    name="source.credentials",
    comment="What the source was authenticated with, masked: one row.",
    keys=("credential_type",),
    columns=(
        _required("credential_type", "string", "api_token.", allowed_values=("api_token",)),
        _required("credential_value", "string", "*** and the last three characters at most."),
        _required("last_validated", "timestamp", "When it was last tried."),
        _required(
            "validation_status",
            "string",
            "Success or Failed.",
            allowed_values=("Success", "Failed"),
        ),
    ),
)
"""``source.credentials``: what the source was authenticated with, masked."""

SOURCE_ENDPOINTS = TableSpec(
    name="source.endpoints",
    comment="The source's endpoint catalogue: one row an endpoint.",
    keys=("full_path", "http_method"),
    columns=(
        _required("endpoint_path", "string", "The path without its query."),
        _required("full_path", "string", "The path as the catalogue has it, with its query."),
        _required("http_method", "string", ", ".join(HTTP_METHODS), allowed_values=HTTP_METHODS),
        _required("category", "string", "What it is about."),
        _required("description", "string", "What it does, in words."),
        _required("requires_auth", "boolean", "Whether it needs authentication."),
        _required("hierarchical", "boolean", "Whether its path has parameters."),
        _required("query_parameters", "array<string>", "Names of its query parameters."),
        _required("path_parameters", "array<string>", "Names of its path parameters."),
        _required("resource", "string", "The resource it belongs to."),
    ),
)
"""``source.endpoints``: the source's endpoint catalogue."""

SOURCE_TABLES = (SOURCE_CONFIG, SOURCE_CREDENTIALS, SOURCE_ENDPOINTS, SOURCE_PORTFOLIO)
"""The Source stage's tables in the order in which it writes them."""

PREPARE_SCHEMA = TableSpec(
    name="prepare._schema",
    comment="How the source's fields become columns: one row a field. Created empty.",
    keys=("entity", "fieldId"),
    columns=(
        _optional("group", "string", "Group of entities."),
        _optional("groupSortOrder", "integer", "The group's place among the groups."),
        _required("entity", "string", "The entity, such as issue."),
        _optional("entitySortOrder", "integer", "The entity's place within its group."),
        _required("fieldId", "string", "The field's id at the source."),
        _required(
            "structureType",
            "string",
            "scalar, record, array or objectDump.",
            allowed_values=("scalar", "record", "array", "objectDump"),
        ),
        _optional("rawField", "array<string>", "Paths of the raw values."),
        _optional("targetField", "array<string>", "Names of the columns made of them."),
        _optional(
            "dataType",
            "array<string>",
            "Their types: text, int64, float64, bool, date, datetime or json.",
            allowed_values=("text", "int64", "float64", "bool", "date", "datetime", "json"),
        ),
        _optional("isInApiIssue", "boolean", "Whether the API's entity has it."),
        _optional("isInChangelog", "boolean", "Whether the changelog has it."),
        _optional("isNullable", "boolean", "Whether it may be missing."),
        _optional("defaultValue", "string", "What it is when missing."),
        _optional("description", "string", "What it means."),
        _optional("notes", "string", "Anything else."),
        _optional("initialDataType", "string", "The type that was discovered first."),
        _optional("dimensionName", "string", "The dimension it feeds."),
        _optional("bridgeName", "string", "The bridge table it feeds."),
        _optional("keyField", "array<boolean>", "Which target columns are keys."),
        _optional("isInFactIssue", "array<boolean>", "Which are in the fact table."),
        _optional("piiLevel", "array<string>", "How personal each of them is."),
        _optional("columnOrder", "array<integer>", "Their places in the table."),
    ),
)
"""``prepare._schema``: how the source's fields become columns."""

PREPARE_ENDPOINTS = TableSpec(
    name="prepare._endpoints",
    comment="The endpoints that are extracted: one row an endpoint. Created empty.",
    keys=("sourceSystem", "fullPath", "httpMethod"),
    columns=(
        _required("sourceSystem", "string", "Key of the source system."),
        _optional("entity", "string", "The entity it gives."),
        _required("endpointPath", "string", "The path without its query."),
        _required("fullPath", "string", "The path with its query."),
        _required("httpMethod", "string", ", ".join(HTTP_METHODS), allowed_values=HTTP_METHODS),
        _optional("category", "string", "What it is about."),
        _optional("description", "string", "What it does, in words."),
        _optional("requiresAuth", "boolean", "Whether it needs authentication."),
        _optional("hierarchical", "boolean", "Whether its path has parameters."),
        _optional("parentEntity", "string", "The entity whose ids its path takes."),
        _optional("queryParameters", "array<string>", "Names of its query parameters."),
        _optional("pathParameters", "array<string>", "Names of its path parameters."),
        _optional("isEnabled", "boolean", "Whether it is extracted."),
        _optional("sortOrder", "integer", "Its place among the source's."),
    ),
)
"""``prepare._endpoints``: the endpoints that are extracted."""

PREPARE_STATUS_MAP = TableSpec(
    name="prepare._statusMap",
    comment="The source's states in common terms: one row a state. Created empty.",
    keys=("sourceSystem", "entity", "sourceStatusName"),
    columns=(
        _required("sourceSystem", "string", "Key of the source system."),
        _required("entity", "string", "The entity that has the state."),
        _optional("sourceStatusId", "string", "The state's id at the source."),
        _required("sourceStatusName", "string", "The state's name at the source."),
        _required("targetStatus", "string", "The state in common terms."),
        _optional("isTerminal", "boolean", "Whether nothing follows it."),
        _optional("sortOrder", "integer", "Its place among the states."),
        _optional("notes", "string", "Anything else."),
    ),
)
"""``prepare._statusMap``: the source's states in common terms."""

PREPARE_TABLES = (PREPARE_SCHEMA, PREPARE_ENDPOINTS, PREPARE_STATUS_MAP)
"""The Prepare stage's tables."""
