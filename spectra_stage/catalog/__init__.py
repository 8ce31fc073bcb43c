"""Endpoint catalogues: what a source system offers, from whatever description there is of it."""

from spectra_stage.catalog.endpoint import Endpoint, EndpointCatalog
from spectra_stage.catalog.load import load_catalog

__all__ = ["Endpoint", "EndpointCatalog", "load_catalog"]
