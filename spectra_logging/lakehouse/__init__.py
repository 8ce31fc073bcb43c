"""Delta tables behind one interface, whichever engine runs below.

:mod:`~spectra_logging.lakehouse.base` is the interface, and each engine is a file beside it. Engine
packages are imported nowhere else, and not before an engine is opened.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spectra_logging.errors import ConfigurationError
from spectra_logging.lakehouse.choice import check_choice_of_engine

if TYPE_CHECKING:
    from spectra_logging.lakehouse.base import Lakehouse

__all__ = ["ENGINES", "check_engine", "is_loaded", "open_lakehouse"]

ENGINES = ("auto", "deltalake", "spark")
"""What ``engine`` may be. ``auto`` chooses for each table, unless ``SPECTRA_ENGINE`` names one."""

_loading = threading.Event()
"""Set before the first engine is imported, and for good."""


def check_engine(engine: str, option: str = "engine") -> str:
    """An engine's name, known to be one.

    Args:
        engine: The name.
        option: Where it was given, for the error's message.

    Raises:
        ConfigurationError: There is no such engine.
    """
    if engine not in ENGINES:
        raise ConfigurationError(f"{option}={engine!r} may be {', '.join(ENGINES)}")
    return engine


def open_lakehouse(
    engine: str = "auto",
    *,
    storage_options: Mapping[str, str] | None = None,
    spark: Any | None = None,
) -> Lakehouse:
    """Open an engine.

    Args:
        engine: One of :data:`ENGINES`. ``SPECTRA_ENGINE`` in the environment decides for ``auto``.
        storage_options: Options of the object store, as delta-rs takes them.
        spark: A Spark session, classic or Connect, for the tables that Spark serves and for its
            metastore; by default the one that is known or active whenever one is needed.

    Raises:
        ConfigurationError: There is no such engine, or an option is no text.
    """
    environment = None
    if check_engine(engine) == "auto":
        environment = check_engine(os.environ.get("SPECTRA_ENGINE") or "auto", "SPECTRA_ENGINE")
    asked = check_choice_of_engine(engine, environment, table="")
    _loading.set()
    lakehouse: Lakehouse
    if asked is not None and asked.engine == "spark":
        from spectra_logging.lakehouse.spark import SparkLakehouse

        lakehouse = SparkLakehouse(spark, storage_options)
    elif asked is not None and spark is None:
        from spectra_logging.lakehouse.deltalake import EmbeddedLakehouse

        lakehouse = EmbeddedLakehouse(storage_options)
    else:
        from spectra_logging.lakehouse.auto import AutoLakehouse

        return AutoLakehouse(engine, storage_options, spark)
    lakehouse.reason = asked.reason
    return lakehouse


def is_loaded() -> bool:
    """Whether this process has loaded an engine that a forked child must not use, or began to.

    delta-rs runs threads that a fork does not copy, and panics in the child; a Spark session's
    connection is the parent's. And an import that a fork does not wait for to its end stays locked
    there.
    """
    return _loading.is_set() or "deltalake" in sys.modules
