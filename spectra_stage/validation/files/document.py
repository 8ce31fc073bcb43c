"""A YAML file as plain values, of each of which the position is known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spectra_logging.errors import ConfigurationError
from spectra_stage.errors import SuiteError

__all__ = ["Document", "Place", "Problems", "read_document"]

# Of the key <<, which is refused.
_MERGE = "tag:yaml.org,2002:merge"
# Of =, which is a text like any other operator.
_VALUE = "tag:yaml.org,2002:value"


@dataclass(frozen=True)
class Place:
    """A value in a file, and where it stands.

    Args:
        value: The value; of a mapping or a list, whose values are places in turn.
        line: Its line, from 1.
        column: Its column, from 1.
    """

    value: Any
    line: int
    column: int

    def plain(self) -> Any:
        """The value without the positions in it."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def get(self, key: str) -> Place | None:
        """What a mapping has under a key; ``None`` where it is no mapping or has nothing there."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return found if found is not None and found.value is not None else None

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


class Problems:
    """What is wrong with a file, collected."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, place: Place, words: str) -> None:
        """Note a problem."""
        self.found.append(f"{place}: {words}")

    def mapping(self, place: Place, what: str, known: Collection[str] | None = None) -> bool:
        """Whether it is a mapping; one with other keys than those known is a problem too.

        Args:
            place: The value.
            what: What it is, in words.
            known: The keys that it may have, in the order to name them; by default any.
        """
        if not isinstance(place.value, dict):
            self.add(place, f"{what} is {_kind(place.value)}, not a mapping")
            return False
        for key, item in place.value.items():
            if known is not None and key not in known:
                self.add(item, f"{what} has no {key!r}; it takes {', '.join(known)}")
        return True

    def items(self, place: Place, what: str) -> Iterator[Place]:
        """The items of a list; anything else is a problem."""
        if not isinstance(place.value, list):
            self.add(place, f"{what} is {_kind(place.value)}, not a list")
            return
        yield from place.value

    def text(self, place: Place, what: str) -> str:
        """A text; anything else is a problem."""
        if not isinstance(place.value, str) or not place.value.strip():
            # What YAML has made of no, 010 and 2024-01-01.
            is_scalar = not isinstance(place.value, (str, dict, list, type(None)))
            quoted = "; in quotes it is one" if is_scalar else ""
            self.add(place, f"{what} is {place.plain()!r}, not a text{quoted}")
            return ""
        return place.value


@dataclass(frozen=True)
class Document:
    """A file's content.

    Args:
        source: The file.
        root: What it holds.
    """

    source: str
    root: Place


def read_document(path: Path) -> Document:
    """Read a YAML file, or JSON, which is YAML as well.

    Raises:
        SuiteError: It is no YAML, holds nothing, has a key twice, or no end.
        ConfigurationError: It can't be read, or PyYAML is not installed.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"suite {path} is read as YAML, which needs PyYAML: pip install 'spectra-logging[cli]'"
        ) from error
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"suite {path} can't be read: {error}") from error
    if path.suffix.lower() == ".json":
        # JSON may be indented with tabs, and has none within its texts.
        text = text.replace("\t", " ")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            raise SuiteError(str(path), ["it holds nothing"])
        problems: list[str] = []
        root = _place(node, loader.construct_object, problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f"{mark.line + 1}:{mark.column + 1}: " if mark else ""
        raise SuiteError(str(path), [f"{at}it is no YAML: {error.problem}"]) from error
    except yaml.YAMLError as error:
        raise SuiteError(str(path), [f"it is no YAML: {error}"]) from error
    except RecursionError:
        words = "it is nested too deeply, or holds an alias of what the alias stands in"
        raise SuiteError(str(path), [words]) from None
    if problems:
        raise SuiteError(str(path), problems)
    return Document(str(path), root)


def _place(node: Any, construct: Callable[..., Any], problems: list[str]) -> Place:
    line, column = node.start_mark.line + 1, node.start_mark.column + 1
    if node.id == "mapping":
        found: dict[str, Place] = {}
        for key_node, value_node in node.value:
            # As it is written: columns may be called no, on and 010.
            plain = key_node.id == "scalar" and key_node.tag != _MERGE
            key = str(_constructed(key_node, _text_of if plain else construct, problems))
            at = key_node.start_mark
            if key in found:
                problems.append(f"{at.line + 1}:{at.column + 1}: {key!r} is there twice")
            found[key] = _place(value_node, construct, problems)
        return Place(found, line, column)
    if node.id == "sequence":
        return Place([_place(item, construct, problems) for item in node.value], line, column)
    return Place(_constructed(node, construct, problems), line, column)


def _constructed(node: Any, construct: Callable[..., Any], problems: list[str]) -> Any:
    if node.tag == _VALUE:
        construct = _text_of
    try:
        value = construct(node, deep=True)
        if isinstance(value, str):
            # JSON escapes what is beyond 16 bits as two halves.
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        return value
    except (ValueError, LookupError, AttributeError) as error:
        # Of what looks like a date and is none, or does not fit the tag before it.
        at = node.start_mark
        problems.append(f"{at.line + 1}:{at.column + 1}: {node.value!r} can't be read: {error}")
        return None


def _text_of(node: Any, *, deep: bool) -> str:  # noqa: ARG001 - a loader's signature
    return str(node.value)


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)
