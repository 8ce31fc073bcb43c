"""What a run is about: what its rows have in common, and what notebooks read as ``ctx``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spectra_logging.fabric import RuntimeContext
from spectra_logging.session.run import SessionRun
from spectra_logging.variables import VariableLibrary

__all__ = ["context_of", "identity_of"]


def identity_of(required: Mapping[str, str], environment: RuntimeContext) -> dict[str, str]:
    """The columns that are the same in all rows of a run.

    Args:
        required: The variables that every notebook has, by name.
        environment: Where the notebook runs.
    """
    return {
        **{name.lower(): value for name, value in required.items()},
        "workspace_id": environment.workspace_id,
        "lakehouse_id": environment.lakehouse_id,
        "lakehouse_name": environment.lakehouse_name,
        "execution_mode": environment.execution_mode,
    }


def context_of(
    run: SessionRun, identity: Mapping[str, str], variables: VariableLibrary
) -> dict[str, Any]:
    """A run's identity, the run itself, and the address of its source where variables give one."""
    base_url = (variables.get("BASE_URL") or "").rstrip("/")
    base_path = (variables.get("BASE_PATH") or "").strip("/")
    return {
        **identity,
        "base_url": base_url,
        "base_path": base_path,
        "full_url": f"{base_url}/{base_path}".rstrip("/"),
        "execution_id": run.execution_id,
        "start_time": run.started_at,
    }
