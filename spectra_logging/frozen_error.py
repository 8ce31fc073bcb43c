"""An exception as it was when it was logged, at a fraction of the price of its traceback's text."""

from __future__ import annotations

import sys
import traceback
from types import CodeType, TracebackType
from typing import NamedTuple

from spectra_logging.exc_info import ExcInfo
from spectra_logging.values import safe_text

__all__ = ["FrozenError"]

LONGEST_CHAIN = 20
KEPT_FRAMES = 200

_BECAUSE_OF = (
    "\nThe above exception was the direct cause of the following exception:\n\n",
    "\nDuring handling of the above exception, another exception occurred:\n\n",
)


class _Link(NamedTuple):
    """One exception of a chain."""

    type_name: str
    text: str
    frames: tuple[CodeType | int, ...]
    """Code and last instruction of one frame after the other, in one object: a record may have a
    hundred. The line is worked out when it is shown."""
    frames_left_out: int
    """Of the outermost; a recursion has a thousand."""
    introduction: str
    """What stands before it, below the exception that it followed upon."""


class FrozenError(NamedTuple):
    """A chain of exceptions with their places, without frames, locals or source lines.

    :meth:`freeze` takes microseconds and keeps no frame alive; :meth:`render`, which reads source
    files, may be called later and on another thread.

    Attributes:
        type_name: The exception's class.
        text: Its words.
        links: The chain, the exception itself first; empty where ``rendered`` serves.
        rendered: The text of a traceback that has more to it than a chain.
    """

    type_name: str
    text: str
    links: tuple[_Link, ...]
    rendered: str | None

    @classmethod
    def freeze(cls, exc_info: ExcInfo) -> FrozenError:
        """What a traceback is made of."""
        _, error, position = exc_info
        if isinstance(error, SyntaxError) or _is_group(error):
            # Lines of source and groups of exceptions are part of these; they are rare.
            text = "".join(traceback.format_exception(*exc_info))
            return cls(_name_of(error), safe_text(error), (), safe_text(text))
        if error.__cause__ is None and error.__context__ is None:
            # Most exceptions are no chain, and a log call's microseconds count.
            name, words = _name_of(error), _words_of(error)
            link = _Link(name, words, *_frames_of(position), "")
            return cls(name, words, (link,), None)
        links: list[_Link] = []
        seen: set[int] = set()
        current: BaseException | None = error
        while current is not None and id(current) not in seen and len(links) < LONGEST_CHAIN:
            seen.add(id(current))
            cause = current.__cause__
            earlier = cause
            if cause is None and not current.__suppress_context__:
                earlier = current.__context__
            followed = earlier is not None and id(earlier) not in seen
            links.append(
                _Link(
                    _name_of(current),
                    _words_of(current),
                    *_frames_of(position if current is error else current.__traceback__),
                    _BECAUSE_OF[cause is None] if followed else "",
                )
            )
            current = earlier
        return cls(links[0].type_name, links[0].text, tuple(links), None)

    @property
    def size(self) -> int:
        """About how many characters it holds."""
        size = len(self.rendered or "")
        for link in self.links:
            size += len(link.text) + 32 * len(link.frames)
        return size

    def render(self) -> str:
        """The traceback as Python prints it."""
        if self.rendered is not None:
            return self.rendered
        return safe_text("".join(_render(link) for link in reversed(self.links)))


def _render(link: _Link) -> str:
    parts = [link.introduction]
    if link.frames:
        parts.append("Traceback (most recent call last):\n")
        if link.frames_left_out:
            parts.append(f"  [{link.frames_left_out} frames left out]\n")
        parts += _summary(link.frames)
    words = f": {link.text}" if link.text else ""
    return "".join((*parts, link.type_name, words, "\n"))


def _name_of(error: BaseException) -> str:
    kind = type(error)
    module = kind.__module__
    return (
        kind.__qualname__ if module in {"builtins", "__main__"} else f"{module}.{kind.__qualname__}"
    )


def _words_of(error: BaseException) -> str:
    words = safe_text(error)
    notes = error.__dict__.get("__notes__")
    if isinstance(notes, list):
        words = "\n".join((words, *map(safe_text, notes)))
    return words


if sys.version_info >= (3, 11):

    def _is_group(error: BaseException) -> bool:
        return isinstance(error, BaseExceptionGroup)  # noqa: F821 - ruff reads it as 3.10

else:

    def _is_group(error: BaseException) -> bool:
        # The group of a backport.
        return hasattr(error, "exceptions")


def _frames_of(position: TracebackType | None) -> tuple[tuple[CodeType | int, ...], int]:
    frames: list[CodeType | int] = []
    keep = frames.append
    while position is not None:
        keep(position.tb_frame.f_code)
        keep(position.tb_lasti)
        position = position.tb_next
    left_out = max(0, len(frames) // 2 - KEPT_FRAMES)
    return tuple(frames[2 * left_out :] if left_out else frames), left_out


def _summary(frames: tuple[CodeType | int, ...]) -> list[str]:
    pairs = zip(frames[::2], frames[1::2], strict=True)
    places = [
        (code.co_filename, _line_of(code, at), code.co_name, None)
        for code, at in pairs
        if isinstance(code, CodeType) and isinstance(at, int)
    ]
    return traceback.StackSummary.from_list(places).format()


def _line_of(code: CodeType, instruction: int) -> int:
    """The line of the instruction at that offset; the function's first where it has none."""
    for begin, end, line in code.co_lines():
        if begin <= instruction < end and line is not None:
            return line
    return code.co_firstlineno
