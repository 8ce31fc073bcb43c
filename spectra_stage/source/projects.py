"""Which project to try something below: the first that the source system lists, mostly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["first_project_id"]

_LISTS = ("projects", "results", "values", "data", "items", "content")
_IDS = ("id", "projectId", "project_id", "key")


def first_project_id(answer: Any) -> str | None:
    """The id of the first project in a source system's answer; ``None`` where it lists none.

    Args:
        answer: A list of projects, or an object that holds one under a usual name, such as
            ``results``; a project is an object with an ``id`` or the like, or the id itself.
    """
    projects = answer
    if isinstance(answer, Mapping):
        projects = next((answer[n] for n in _LISTS if isinstance(answer.get(n), list)), None)
    if not isinstance(projects, list) or not projects:
        return None
    first = projects[0]
    if isinstance(first, Mapping):
        first = next((first[name] for name in _IDS if first.get(name) is not None), None)
    if isinstance(first, bool) or not isinstance(first, (int, str)) or first == "":
        return None
    return str(first)
