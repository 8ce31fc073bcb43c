"""The Source stage: what a source system offers, found out and written down."""

from spectra_stage.source.client import SourceClient
from spectra_stage.source.profiles import SourceProfile, add_profile
from spectra_stage.source.retry import RetryPolicy
from spectra_stage.source.stage import execute_source_stage

__all__ = ["RetryPolicy", "SourceClient", "SourceProfile", "add_profile", "execute_source_stage"]
