"""Suites in files: their own YAML, and Open Data Contracts."""

from spectra_stage.validation.files.load import load_contract, load_suite
from spectra_stage.validation.files.odcs import Contract
from spectra_stage.validation.files.odcs_export import Export, export_contract

__all__ = ["Contract", "Export", "export_contract", "load_contract", "load_suite"]
