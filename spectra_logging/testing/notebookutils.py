"""A stand-in for ``notebookutils``, the module that Microsoft Fabric puts into its notebooks."""

from __future__ import annotations

import base64
import json
import re
import sys
import time
from collections.abc import Callable, Mapping
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

__all__ = ["FakeNotebookUtils", "storage_token"]

_CONTEXT: dict[str, Any] = {
    "currentNotebookName": None,
    "currentNotebookId": None,
    "currentWorkspaceName": "example workspace",
    "currentWorkspaceId": "11111111-1111-1111-1111-111111111111",
    "defaultLakehouseName": "example_lakehouse",
    "defaultLakehouseId": "22222222-2222-2222-2222-222222222222",
    "defaultLakehouseWorkspaceName": "example workspace",
    "defaultLakehouseWorkspaceId": "11111111-1111-1111-1111-111111111111",
    "currentRunId": None,
    "parentRunId": None,
    "rootRunId": None,
    "isForPipeline": False,
    "isForInteractive": True,
    "isReferenceRun": False,
    "referenceTreePath": None,
    "rootNotebookId": None,
    "rootNotebookName": None,
    "activityId": "33333333-3333-3333-3333-333333333333",
    "clusterId": None,
    "environmentId": None,
    "userId": None,
    "userName": None,
    "productType": "Fabric",
}

_REFERENCE = re.compile(r"\$\(/\*\*/(?P<library>[^/]+)/(?P<variable>[^/)]+)\)")


def storage_token(lifetime_seconds: float = 3600.0, **claims: Any) -> str:
    """A token in the form of Microsoft Entra's for Azure Storage, that nobody has signed.

    Args:
        lifetime_seconds: How long from now until it expires; below 0 it has.
        claims: Claims that differ; ``None`` leaves one out.
    """
    now = int(time.time())
    payload = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": int(now + lifetime_seconds),
        **claims,
    }
    told = {name: value for name, value in payload.items() if value is not None}
    parts = ({"alg": "none", "typ": "JWT"}, told)
    return ".".join(map(_base64url, parts)) + ".bm90LXNpZ25lZA"


def _base64url(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


class FakeNotebookUtils:
    """Puts a module ``notebookutils`` in place, with what Fabric documents of it.

    ``runtime.context``, ``variableLibrary.getLibrary`` and ``.get``, ``credentials.getSecret`` and
    ``.getToken``, ``lakehouse.getWithProperties``. Use it as a context manager, or call
    :meth:`install` and :meth:`uninstall`.

    Args:
        variables: Name of a Variable Library → its variables.
        context: Entries of ``runtime.context`` that differ from an interactive session with a
            default lakehouse; ``None`` is Fabric's null.
        secrets: Key Vault's address, with a slash at its end → name → value.
        tokens: Audience (``storage``, ``pbi``, ``keyvault``, ``kusto``) → token, or what gives one
            each time it is asked, such as :func:`storage_token`.
        has_schemas: Whether the default lakehouse keeps its tables in schemas.

    A relative ``Tables/…`` is in the default lakehouse, in OneLake, while this is installed. Set
    ``SPECTRA_ROOT`` for tables on a disk, or a context without ``defaultLakehouseId``.
    """

    def __init__(
        self,
        *,
        variables: Mapping[str, Mapping[str, Any]] | None = None,
        context: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        tokens: Mapping[str, str | Callable[[], str]] | None = None,
        has_schemas: bool = True,
    ) -> None:
        self._variables = variables or {}
        self._secrets = secrets or {}
        self._tokens = tokens or {}
        self._replaced: ModuleType | None = None
        module: Any = ModuleType("notebookutils")
        module.runtime = SimpleNamespace(context={**_CONTEXT, **(context or {})})
        module.variableLibrary = SimpleNamespace(
            getLibrary=self._get_library, get=self._get_variable
        )
        module.credentials = SimpleNamespace(getSecret=self._get_secret, getToken=self._get_token)
        module.lakehouse = SimpleNamespace(getWithProperties=self._get_lakehouse)
        self._has_schemas = has_schemas
        self.module: ModuleType = module

    def install(self) -> None:
        """Make ``import notebookutils`` find this one; no more than once while it does."""
        if sys.modules.get("notebookutils") is not self.module:
            self._replaced = sys.modules.get("notebookutils")
            sys.modules["notebookutils"] = self.module

    def uninstall(self) -> None:
        """Put back what was there before, where this one is still found."""
        if sys.modules.get("notebookutils") is not self.module:
            return
        if self._replaced is None:
            sys.modules.pop("notebookutils", None)
        else:
            sys.modules["notebookutils"] = self._replaced

    def __enter__(self) -> FakeNotebookUtils:
        self.install()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.uninstall()

    def _get_library(self, name: str) -> _Library:
        if name not in self._variables:
            raise RuntimeError(f"Variable library {name} is not found in the workspace")
        return _Library(self._variables[name])

    def _get_variable(self, reference: str) -> Any:
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise ValueError(f"Invalid variable reference {reference}")
        return self._get_library(match["library"]).getVariable(match["variable"])

    def _get_secret(self, vault: str, name: str) -> str:
        try:
            return self._secrets[vault][name]
        except KeyError:
            raise RuntimeError(f"Secret {name} is not found in {vault}") from None

    def _get_token(self, audience: str) -> str:
        try:
            token = self._tokens[audience]
        except KeyError:
            raise RuntimeError(f"Unsupported audience {audience}") from None
        return token() if callable(token) else token

    def _get_lakehouse(self, name: str, workspace_id: str = "") -> SimpleNamespace:
        context = self.module.runtime.context
        if name != context["defaultLakehouseName"]:
            raise RuntimeError(f"Lakehouse {name} is not found in workspace {workspace_id}")
        schema = {"defaultSchema": "dbo"} if self._has_schemas else {}
        return SimpleNamespace(
            id=context["defaultLakehouseId"], displayName=name, properties={**schema}
        )


class _Library:
    """What ``getLibrary`` returns: variables as attributes, by bracket and by ``getVariable``."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables

    def getVariable(self, name: str) -> Any:  # noqa: N802 - Fabric's name
        if name not in self._variables:
            raise RuntimeError(f"Variable {name} is not found in the variable library")
        return self._variables[name]

    __getitem__ = getVariable

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.getVariable(name)
