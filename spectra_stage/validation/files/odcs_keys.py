"""The keys that the Open Data Contract Standard has: those of 3.0, 3.1 and 3.2 together.

What stands under another is mistyped, or of a later version; either way no check comes of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from spectra_stage.validation.files.document import Place

__all__ = ["OF_CONTRACTS", "OF_OBJECTS", "OF_PROPERTIES", "OF_RULES", "unknown_keys"]

OF_CONTRACTS = frozenset(
    """
    apiVersion authoritativeDefinitions context contractCreatedTs customProperties dataProduct
    description domain id kind name price roles schema servers slaDefaultElement slaProperties
    status support tags team tenant type version
    """.split()
)

_OF_ELEMENTS = frozenset(
    """
    authoritativeDefinitions businessName customProperties deprecated description id logicalType
    name physicalName physicalType properties quality relationships synonyms tags
    """.split()
)

OF_OBJECTS = _OF_ELEMENTS | {"context", "dataGranularityDescription"}

OF_PROPERTIES = _OF_ELEMENTS | frozenset(
    """
    classification criticalDataElement encryptedName enum examples items logicalTypeOptions map
    partitionKeyPosition partitioned primaryKey primaryKeyPosition required semanticType
    transformDescription transformLogic transformSourceObjects unique
    """.split()
)

OF_RULES = frozenset(
    """
    arguments authoritativeDefinitions businessImpact customProperties description dimension engine
    id implementation method metric mustBe mustBeBetween mustBeGreaterOrEqualTo mustBeGreaterThan
    mustBeLessOrEqualTo mustBeLessThan mustNotBe mustNotBeBetween name pattern query rule schedule
    scheduler severity tags type unit validValues
    """.split()
)
"""With ``pattern`` and ``validValues``, which the standard's own examples have beside the rest."""


def unknown_keys(place: Place, known: frozenset[str], of: str) -> Iterator[tuple[Place, str]]:
    """What stands in a mapping under keys that the standard lacks, and what is to be said of it.

    Args:
        place: The mapping; anything else has no keys.
        known: The keys that the standard has there.
        of: What it is, in words.
    """
    for key, item in place.value.items() if isinstance(place.value, dict) else ():
        if key not in known:
            yield item, f"{key!r} of {of}, which is no key of the standard"
