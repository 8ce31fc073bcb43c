"""An endpoint, and a catalogue of them in which none occurs twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_stage.errors import CatalogError

__all__ = ["DUPLICATES", "Endpoint", "EndpointCatalog", "catalog_of"]

DUPLICATES = ("drop", "refuse")
"""What may become of an endpoint that a catalogue has before."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One endpoint: a row of ``source.endpoints``, its fields that table's columns."""

    endpoint_path: str
    full_path: str
    http_method: str
    category: str
    description: str
    requires_auth: bool
    hierarchical: bool
    query_parameters: tuple[str, ...]
    path_parameters: tuple[str, ...]
    resource: str

    def __str__(self) -> str:
        return f"{self.http_method} {self.full_path}"

    @property
    def key(self) -> tuple[str, str]:
        """What makes it one endpoint and not another."""
        return self.full_path, self.http_method


@dataclass(frozen=True, kw_only=True)
class EndpointCatalog:
    """What a source system offers.

    Args:
        endpoints: The endpoints, in the order of their description, each once.
        duplicates: Those left out because they were there before, one sentence each.
        skipped: Entries left out because no row can hold them, one sentence each: a method such
            as TRACE.
    """

    endpoints: tuple[Endpoint, ...]
    duplicates: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.endpoints)

    @property
    def categories(self) -> dict[str, int]:
        """Endpoints by category, in the categories' order."""
        return dict(sorted(Counter(endpoint.category for endpoint in self.endpoints).items()))

    def rows(self) -> list[dict[str, Any]]:
        """The rows of ``source.endpoints``."""
        return [asdict(endpoint) for endpoint in self.endpoints]


def catalog_of(
    source: str,
    endpoints: Sequence[tuple[str, Endpoint]],
    *,
    duplicates: str = "drop",
    skipped: Sequence[str] = (),
) -> EndpointCatalog:
    """A catalogue of endpoints, the first of each kind.

    Args:
        source: What the endpoints were read from, for errors.
        endpoints: Each with its place there, such as ``record 3``.
        duplicates: ``drop`` leaves out and lists what was there before; ``refuse`` raises.
        skipped: What was left out already.

    Raises:
        CatalogError: Endpoints are there twice and are refused; the message names each.
        ConfigurationError: ``duplicates`` is something else.
    """
    if duplicates not in DUPLICATES:
        raise ConfigurationError(f"duplicates={duplicates!r} may be {' or '.join(DUPLICATES)}")
    first: dict[tuple[str, str], tuple[str, Endpoint]] = {}
    repeated = []
    for place, endpoint in endpoints:
        place_before, _ = first.setdefault(endpoint.key, (place, endpoint))
        if place_before != place:
            repeated.append(f"{place}: {endpoint} is {place_before} already")
    if repeated and duplicates == "refuse":
        raise CatalogError(source, repeated)
    return EndpointCatalog(
        endpoints=tuple(endpoint for _, endpoint in first.values()),
        duplicates=tuple(repeated),
        skipped=tuple(skipped),
    )
