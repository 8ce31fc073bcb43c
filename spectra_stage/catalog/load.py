"""One way to a catalogue, whatever describes it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from spectra_logging.errors import ConfigurationError
from spectra_stage.catalog.endpoint import EndpointCatalog, catalog_of
from spectra_stage.catalog.openapi import is_openapi, read_openapi
from spectra_stage.catalog.records import read_list
from spectra_stage.errors import CatalogError

__all__ = ["CatalogSource", "load_catalog"]

CatalogSource: TypeAlias = (
    EndpointCatalog | Sequence[Mapping[str, Any]] | Mapping[str, Any] | str | os.PathLike[str]
)
"""What a catalogue may be made of: see :func:`load_catalog`."""


def load_catalog(source: CatalogSource, *, duplicates: str = "drop") -> EndpointCatalog:
    """An endpoint catalogue from what describes it.

    Args:
        source: A list of records with the ten columns of ``source.endpoints``; a list of rows
            ``{"resource": "Title [/path/{id}{?query}]", "method": "GET", "path": ""}`` as API
            Blueprint exports give them; an OpenAPI document (Swagger 2.0 to OpenAPI 3.1) as a
            dictionary; the path of a JSON or YAML file that holds any of these; or a catalogue,
            which is returned as it is.
        duplicates: What becomes of an endpoint whose ``full_path`` and method were there before:
            ``drop`` leaves it out and lists it in ``duplicates``, ``refuse`` raises.

    Raises:
        CatalogError: The description can't be read; the message has every problem and its place.
        ConfigurationError: ``duplicates`` is something else, the file can't be read, or is YAML
            where PyYAML is not installed.
    """
    if isinstance(source, EndpointCatalog):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        return _from_description(str(path), _parsed(path), duplicates)
    return _from_description(f"of type {type(source).__name__}", source, duplicates)


def _from_description(name: str, description: Any, duplicates: str) -> EndpointCatalog:
    if is_openapi(description):
        endpoints, skipped = read_openapi(name, description)
        return catalog_of(name, endpoints, duplicates=duplicates, skipped=skipped)
    if isinstance(description, Sequence) and not isinstance(description, (str, bytes)):
        return catalog_of(name, read_list(name, description), duplicates=duplicates)
    raise CatalogError(name, ["it is neither a list of records nor an OpenAPI document"])


def _parsed(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"endpoint catalogue {path} can't be read: {error}; name a JSON or YAML file"
        ) from error
    if path.suffix.lower() in {".yaml", ".yml"}:
        return _parsed_yaml(path, text)
    try:
        return json.loads(text)
    except ValueError as error:
        raise CatalogError(
            str(path), [f"it is no JSON: {error}. A YAML file ends in .yaml or .yml"]
        ) from error


def _parsed_yaml(path: Path, text: str) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"endpoint catalogue {path} is YAML, which needs PyYAML: "
            "pip install 'spectra-logging[cli]', or save it as JSON"
        ) from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        # A ValueError is of what looks like a date, such as the version 2024-13-01.
        raise CatalogError(str(path), [f"it is no YAML: {error}"]) from error
