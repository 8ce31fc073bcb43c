"""An exception as it was when it was logged, at a fraction of the price of its traceback's text."""

from __future__ import annotations

import sys
import traceback
from types import CodeType, TracebackType
from typing import NamedTuple

from spectra_logging.exc_info import ExcInfo, traceback_text
from spectra_logging.values import safe_text

__all__ = ["FrozenError"]

LONGEST_CHAIN = 20
KEPT_FRAMES = 200

_BECAUSE_OF = (
    "\nThe above exception was the direct cause of the following exception:\n\n",
    "\nDuring handling of the above exception, another exception occurred:\n\n",
)


class FrozenError(NamedTuple):
    """An exception with its places and those it followed upon, without frames or source lines.

    :meth:`freeze` takes microseconds and keeps no frame alive; :meth:`render`, which reads source
    files, may be called later and on another thread.

    Attributes:
        kind: The exception's class.
        text: Its words.
        frames: Code and last instruction of one frame after the other, in one object: a record may
            have a hundred. The line is worked out when it is shown.
        frames_left_out: Of the outermost; a recursion has a thousand.
        earlier: The exception that it followed upon.
        introduction: What stands between the two.
        rendered: The text of a traceback that has more to it than a chain.
    """

    kind: type[BaseException]
    text: str
    frames: tuple[CodeType | int, ...] = ()
    frames_left_out: int = 0
    earlier: FrozenError | None = None
    introduction: str = ""
    rendered: str | None = None

    @classmethod
    def freeze(cls, exc_info: ExcInfo) -> FrozenError:
        """What a traceback is made of."""
        try:
            chain = cls._chain(exc_info)
        except Exception:  # noqa: BLE001 - whatever a foreign exception raises when looked at
            chain = None
        if chain is not None:
            return chain
        # Lines of source and groups of exceptions are part of these; they are rare.
        error, text = exc_info[1], traceback_text(exc_info)
        return cls(type(error), safe_text(error), rendered=f"{safe_text(text)}\n")

    @classmethod
    def _chain(cls, exc_info: ExcInfo) -> FrozenError | None:
        """An exception with those it followed upon; ``None`` where there is more to it."""
        _, error, position = exc_info
        is_alone = error.__cause__ is None and error.__context__ is None
        chain = [] if is_alone else _chain_of(error)
        if _is_more_than_a_chain(error) or any(_is_more_than_a_chain(link) for link, _ in chain):
            return None
        if is_alone:
            # Most exceptions are no chain, and a log call's microseconds count: the constructor's
            # own way takes twice as long.
            frames, left_out = _frames_of(position)
            return tuple.__new__(
                cls, (type(error), _words_of(error), frames, left_out, None, "", None)
            )
        frozen = None
        for link, introduction in reversed(chain):
            places = _frames_of(position if link is error else link.__traceback__)
            frozen = cls(type(link), _words_of(link), *places, frozen, introduction)
        return frozen

    @property
    def type_name(self) -> str:
        """The class as tracebacks name it."""
        module, name = self.kind.__module__, self.kind.__qualname__
        return name if module in {"builtins", "__main__"} else f"{module}.{name}"

    @property
    def size(self) -> int:
        """About how many characters it holds."""
        size = len(self.text) + 32 * len(self.frames)
        if self.rendered is not None:
            size += len(self.rendered)
        return size if self.earlier is None else size + self.earlier.size

    def render(self) -> str:
        """The traceback as Python prints it."""
        if self.rendered is not None:
            return self.rendered
        parts: list[str] = []
        link: FrozenError | None = self
        while link is not None:
            parts.append(_render(link))
            link = link.earlier
        return safe_text("".join(reversed(parts)))


def _render(link: FrozenError) -> str:
    parts = [link.introduction]
    if link.frames:
        parts.append("Traceback (most recent call last):\n")
        if link.frames_left_out:
            parts.append(f"  [{link.frames_left_out} frames left out]\n")
        parts += _summary(link.frames)
    words = f": {link.text}" if link.text else ""
    return "".join((*parts, link.type_name, words, "\n"))


def _chain_of(error: BaseException) -> list[tuple[BaseException, str]]:
    """An exception and those it followed upon, each once, with what introduces it."""
    chain: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(chain) < LONGEST_CHAIN:
        seen.add(id(current))
        cause = current.__cause__
        earlier = cause
        if cause is None and not current.__suppress_context__:
            earlier = current.__context__
        followed = earlier is not None and id(earlier) not in seen
        chain.append((current, _BECAUSE_OF[cause is None] if followed else ""))
        current = earlier
    return chain


def _words_of(error: BaseException) -> str:
    words = safe_text(error)
    notes = error.__dict__.get("__notes__")
    if isinstance(notes, list):
        words = "\n".join((words, *map(safe_text, notes)))
    return words


if sys.version_info >= (3, 11):
    _MORE_THAN_A_CHAIN = (SyntaxError, BaseExceptionGroup)  # noqa: F821 - ruff reads it as 3.10

    def _is_more_than_a_chain(error: BaseException) -> bool:
        return isinstance(error, _MORE_THAN_A_CHAIN)

else:

    def _is_more_than_a_chain(error: BaseException) -> bool:
        # The second is the group of a backport.
        return isinstance(error, SyntaxError) or hasattr(error, "exceptions")


def _frames_of(position: TracebackType | None) -> tuple[tuple[CodeType | int, ...], int]:
    frames: list[CodeType | int] = []
    while position is not None:
        frames.append(position.tb_frame.f_code)
        frames.append(position.tb_lasti)
        position = position.tb_next
    if len(frames) <= 2 * KEPT_FRAMES:
        return tuple(frames), 0
    return tuple(frames[-2 * KEPT_FRAMES :]), len(frames) // 2 - KEPT_FRAMES


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
