"""The kinds of checks, one file each.

A file here is a check's one place: it says what the check takes, asks and makes of the answer, and
the class enters itself in :data:`KINDS`, from which suites in files and contracts are read.
"""

from __future__ import annotations

import importlib
import pkgutil

from spectra_stage.validation.checks.allowed_values import AllowedValues
from spectra_stage.validation.checks.base import KINDS, Check, CountingCheck, RowCheck
from spectra_stage.validation.checks.compare import Compare
from spectra_stage.validation.checks.condition import Condition
from spectra_stage.validation.checks.counts_by import CountsBy
from spectra_stage.validation.checks.counts_rows import CountsRows
from spectra_stage.validation.checks.foreign_key import ForeignKey
from spectra_stage.validation.checks.freshness import Freshness
from spectra_stage.validation.checks.masked import Masked
from spectra_stage.validation.checks.not_null import NotNull
from spectra_stage.validation.checks.pattern import Pattern
from spectra_stage.validation.checks.row_count import RowCount
from spectra_stage.validation.checks.same_count import SameCount
from spectra_stage.validation.checks.table_exists import TableExists
from spectra_stage.validation.checks.table_schema import TableSchema
from spectra_stage.validation.checks.unchecked import Unchecked
from spectra_stage.validation.checks.unique import Unique
from spectra_stage.validation.checks.valid_json import ValidJson
from spectra_stage.validation.checks.value_range import Range

__all__ = [
    "KINDS",
    "AllowedValues",
    "Check",
    "Compare",
    "Condition",
    "CountingCheck",
    "CountsBy",
    "CountsRows",
    "ForeignKey",
    "Freshness",
    "Masked",
    "NotNull",
    "Pattern",
    "Range",
    "RowCheck",
    "RowCount",
    "SameCount",
    "TableExists",
    "TableSchema",
    "Unchecked",
    "Unique",
    "ValidJson",
]

# So that a file put here is known by being here.
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)
