"""Catalogues from OpenAPI documents: Swagger 2.0, OpenAPI 3.0 and 3.1.

https://spec.openapis.org/oas/v3.1.1.html and https://swagger.io/specification/v2/ have the formats.
Paths stand as the document has them, without the ``basePath`` or ``servers`` that a source's
``BASE_URL`` and ``BASE_PATH`` already name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from spectra_stage.catalog.endpoint import Endpoint
from spectra_stage.catalog.templates import PathTemplate, with_query
from spectra_stage.errors import CatalogError
from spectra_stage.tables import HTTP_METHODS

__all__ = ["is_openapi", "read_openapi"]

_VERSION = re.compile(r"2\.0|3\.[01](\.\d+)?")
_OTHER_METHODS = ("HEAD", "OPTIONS", "QUERY", "TRACE")
_REFERENCES_FOLLOWED = 10


def is_openapi(document: Any) -> bool:
    """Whether the document says that it is one."""
    return isinstance(document, Mapping) and ("openapi" in document or "swagger" in document)


def read_openapi(
    source: str, document: Mapping[str, Any]
) -> tuple[list[tuple[str, Endpoint]], list[str]]:
    """The endpoints of a document, each with its place in it, and what was left out.

    An endpoint's category is its first tag, else the path's first segment. It requires
    authentication when the operation, or else the document, lists security requirements and none
    of them is empty. Its ``full_path`` is the path with the names of its query parameters behind
    it, ``/cases{?offset,limit}``.

    Args:
        source: What the document was read from, for errors.
        document: The parsed document.

    Raises:
        CatalogError: The document is of another version, or has paths, parameters or references
            that can't be read; the message has every problem with its place.
    """
    version = str(document.get("openapi") or document.get("swagger"))
    paths = document.get("paths")
    if not _VERSION.fullmatch(version):
        raise CatalogError(source, [f"OpenAPI version {version} is none of 2.0, 3.0 and 3.1"])
    if not isinstance(paths, Mapping):
        raise CatalogError(source, ["the document has no object 'paths'"])
    endpoints, skipped = [], []
    problems: list[str] = []
    for path, method, item, operation in _operations(document, paths, problems):
        place = f"{method} {path}"
        if method not in HTTP_METHODS:
            skipped.append(f"{place}: the method is none of {', '.join(HTTP_METHODS)}")
            continue
        try:
            endpoints.append((place, _endpoint(document, path, method, item, operation)))
        except ValueError as problem:
            problems.append(f"{place}: {problem}")
    if problems:
        raise CatalogError(source, problems)
    return endpoints, skipped


def _operations(
    document: Mapping[str, Any], paths: Mapping[str, Any], problems: list[str]
) -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Path, method, path item and operation of each; what is none joins the problems."""
    for path, unresolved in paths.items():
        if str(path).startswith("x-"):
            continue
        try:
            item = _resolved(document, unresolved)
        except ValueError as problem:
            problems.append(f"{path}: {problem}")
            continue
        for name, operation in item.items():
            if str(name).upper() not in (*HTTP_METHODS, *_OTHER_METHODS):
                continue
            if isinstance(operation, Mapping):
                yield str(path), str(name).upper(), item, operation
            else:
                problems.append(f"{path}: {name} is no object")


def _endpoint(
    document: Mapping[str, Any],
    path: str,
    method: str,
    item: Mapping[str, Any],
    operation: Mapping[str, Any],
) -> Endpoint:
    template = PathTemplate.parse(path)
    declared: dict[tuple[Any, Any], None] = {}
    for owner in (item, operation):
        for unresolved in _listed(owner, "parameters"):
            parameter = _resolved(document, unresolved)
            name, where = parameter.get("name"), parameter.get("in")
            if isinstance(name, (Mapping, list)) or isinstance(where, (Mapping, list)):
                raise ValueError(f"parameter {name!r} in {where!r} is named by no text")  # noqa: TRY004 - a problem of the document's
            declared[name, where] = None
    named = {
        place: [str(name) for name, where in declared if where == place and name]
        for place in ("path", "query")
    }
    in_query = tuple(dict.fromkeys([*template.query_parameters, *named["query"]]))
    in_path = tuple(dict.fromkeys([*template.path_parameters, *named["path"]]))
    tags = _listed(operation, "tags")
    # The document's stands for an operation that has none, an empty list for itself.
    secured = operation if "security" in operation else document
    return Endpoint(
        endpoint_path=template.endpoint_path,
        full_path=with_query(template.endpoint_path, in_query),
        http_method=method,
        category=str(tags[0]) if tags else template.first_segment,
        description=str(operation.get("summary") or operation.get("description") or ""),
        requires_auth=_requires_auth(_listed(secured, "security")),
        hierarchical=bool(in_path),
        query_parameters=in_query,
        path_parameters=in_path,
        resource=template.first_segment,
    )


def _listed(owner: Mapping[str, Any], name: str) -> Sequence[Any]:
    """What it has of that name, a list; nothing where it has none.

    Raises:
        ValueError: It is no list.
    """
    value = owner.get(name)
    if value is not None and not isinstance(value, (list, tuple)):
        raise ValueError(f"{name} is {value!r}, not a list")
    return value or ()


def _requires_auth(requirements: Sequence[Any]) -> bool:
    """Whether every alternative among the security requirements asks for something."""
    return bool(requirements) and all(requirements)


def _resolved(document: Mapping[str, Any], value: Any) -> Mapping[str, Any]:
    """What a reference within the document points to, or the value itself.

    Raises:
        ValueError: It leads out of the document, nowhere, in a circle, or to no object.
    """
    for _ in range(_REFERENCES_FOLLOWED):
        if not isinstance(value, Mapping):
            raise ValueError(f"{value!r} is no object")  # noqa: TRY004 - a problem of the document's
        reference = value.get("$ref")
        if reference is None:
            return value
        if not isinstance(reference, str) or not reference.startswith("#/"):
            raise ValueError(f"reference {reference!r} leads out of the document; bundle it first")
        value = document
        for part in reference[2:].split("/"):
            # It is part of a URI; then RFC 6901 escapes the characters that separate and escape.
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            try:
                # Digits alone: -1 would be the last one.
                in_list = isinstance(value, (list, tuple)) and key.isdigit()
                value = value[int(key)] if in_list else value[key]
            except (LookupError, TypeError, ValueError):
                raise ValueError(f"reference {reference!r} leads nowhere") from None
    raise ValueError("references lead in a circle")
