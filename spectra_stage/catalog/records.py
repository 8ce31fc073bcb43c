"""Catalogues that are lists: of records, or of rows as API Blueprint exports give them."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from spectra_stage.catalog.endpoint import Endpoint
from spectra_stage.catalog.templates import PathTemplate
from spectra_stage.errors import CatalogError
from spectra_stage.tables import HTTP_METHODS, SOURCE_ENDPOINTS

__all__ = ["read_list"]

_TYPES = {column.name: column.type for column in SOURCE_ENDPOINTS.columns}
_IN_WORDS = {"string": "text", "boolean": "true or false", "array<string>": "a list of texts"}
_MAY_BE_EMPTY = ("description",)
# "Title [/path/{id}{?query}]": the title may hold brackets of its own.
_TITLE_AND_PATH = re.compile(r"(?P<title>.*?)\s*\[(?P<path>/[^\[\]]*)\]\s*")


def read_list(source: str, items: Sequence[Any]) -> list[tuple[str, Endpoint]]:
    """The endpoints of a list, each with its place in it.

    The list is one of API Blueprint rows when none of its items has a field of
    ``source.endpoints`` other than ``resource``.

    Args:
        source: What the list was read from, for errors.
        items: Records with the ten columns of ``source.endpoints``, whose other fields are left
            alone, or rows ``{"resource": "Title [/path/{id}{?query}]", "method": "GET",
            "path": ""}``.

    Raises:
        CatalogError: Some items can't be read; the message has every problem with the item's
            position, the first item being record 1.
    """
    own_fields = _TYPES.keys() - {"resource", "description"}
    as_records = any(isinstance(item, Mapping) and own_fields & item.keys() for item in items)
    read = _from_record if as_records else _from_blueprint
    endpoints, problems = [], []
    for number, item in enumerate(items, start=1):
        place = f"record {number}"
        try:
            if not isinstance(item, Mapping):
                raise ValueError(f"is {type(item).__name__}, not an object with fields")  # noqa: TRY004, TRY301 - one problem among others, collected below
            endpoints.append((place, read(item)))
        except ValueError as problem:
            problems.append(f"{place}{_name_of(item)}: {problem}")
    if problems:
        raise CatalogError(source, problems)
    return endpoints


def _method_of(value: Any) -> str:
    """The HTTP method in capitals.

    Raises:
        ValueError: It is none that an endpoint may have.
    """
    method = value.strip().upper() if isinstance(value, str) else value
    if method not in HTTP_METHODS:
        raise ValueError(f"method {reprlib.repr(value)} is none of {', '.join(HTTP_METHODS)}")
    return str(method)


def _from_record(record: Mapping[str, Any]) -> Endpoint:
    missing = [name for name in _TYPES if record.get(name) is None]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    for name, column_type in _TYPES.items():
        if not _fits(column_type, record[name]):
            raise ValueError(
                f"{name} is {reprlib.repr(record[name])}, not {_IN_WORDS[column_type]}"
            )
        if column_type == "string" and not record[name].strip() and name not in _MAY_BE_EMPTY:
            raise ValueError(f"{name} is empty")
    values: dict[str, Any] = {
        name: tuple(record[name]) if column_type.startswith("array") else record[name]
        for name, column_type in _TYPES.items()
    }
    return Endpoint(**{**values, "http_method": _method_of(record["http_method"])})


def _from_blueprint(row: Mapping[str, Any]) -> Endpoint:
    missing = [name for name in ("resource", "method") if not row.get(name)]
    if missing:
        raise ValueError(f"lacks {', '.join(missing)}")
    resource = str(row["resource"]).strip()
    named = _TITLE_AND_PATH.fullmatch(resource)
    title = named["title"] if named else resource
    # An action's own path stands in place of its resource's.
    path = str(row.get("path") or "").strip() or (named["path"] if named else "")
    if not path:
        raise ValueError(f"resource {resource!r} has no [/path] and the row no path")
    template = PathTemplate.parse(path)
    return Endpoint(
        endpoint_path=template.endpoint_path,
        full_path=template.full_path,
        http_method=_method_of(row["method"]),
        category=template.first_segment,
        description=str(row.get("description") or title),
        # API Blueprint has no words for it, and a source that needs a token mostly needs it
        # everywhere.
        requires_auth=True,
        hierarchical=bool(template.path_parameters),
        query_parameters=template.query_parameters,
        path_parameters=template.path_parameters,
        resource=title or template.first_segment,
    )


def _fits(column_type: str, value: Any) -> bool:
    if column_type == "string":
        return isinstance(value, str)
    if column_type == "boolean":
        return isinstance(value, bool)
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _name_of(item: Any) -> str:
    """What a person knows the record by, in brackets; nothing where it has no path."""
    if not isinstance(item, Mapping):
        return ""
    name = item.get("full_path") or item.get("endpoint_path") or item.get("resource")
    return f" ({name})" if name else ""
