"""An exception frozen when it was logged reads as Python prints it, and keeps nothing alive."""

from __future__ import annotations

import gc
import sys
import traceback
import weakref
from collections.abc import Callable

import pytest

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

from spectra_logging.exc_info import exc_info_triple
from spectra_logging.frozen_error import KEPT_FRAMES, FrozenError


class OwnError(Exception):
    """Its text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def plain() -> None:
    raise ValueError("wrong")


def caused() -> None:
    try:
        plain()
    except ValueError as error:
        raise KeyError("missing") from error


def in_context() -> None:
    try:
        caused()
    except KeyError:
        raise TypeError from ZeroDivisionError("a cause without a traceback")


def suppressed() -> None:
    try:
        plain()
    except ValueError:
        raise RuntimeError("alone") from None


def circular() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__context__, second.__context__ = second, first
    raise first


def syntax() -> None:
    compile("a b", "example.py", "exec")


def unreadable() -> None:
    raise OwnError


def deep(levels: int = 500) -> None:
    if levels:
        deep(levels - 1)
    raise RecursionError("too deep")


def caught(function: Callable[[], None]) -> BaseException:
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it raises
        return error
    raise AssertionError("it does not raise")


def frozen(error: BaseException) -> FrozenError:
    triple = exc_info_triple(error)
    assert triple is not None
    return FrozenError.freeze(triple)


@pytest.mark.parametrize("function", [plain, caused, in_context, suppressed, syntax])
def test_it_reads_as_python_prints_it(function: Callable[[], None]) -> None:
    """Line by line, where Python marks no columns; notes of columns are left out."""
    error = caught(function)
    expected = "".join(traceback.format_exception(error)).splitlines()
    if function is not syntax:
        expected = [line for line in expected if line.strip(" ~^") or not line]
    assert frozen(error).render().splitlines() == expected


def test_a_group_of_exceptions_is_shown_with_its_members() -> None:
    """The members are what tells what happened."""
    group = ExceptionGroup("several", [ValueError("one"), KeyError("two")])
    text = frozen(group).render()
    assert "several" in text
    assert "ValueError: one" in text


def test_a_group_that_led_to_another_exception_is_shown_with_its_members() -> None:
    """As where what a task group raises is turned into an error of the program's own."""
    error = RuntimeError("the stage failed")
    error.__cause__ = ExceptionGroup("several", [ValueError("one"), KeyError("two")])
    text = frozen(error).render()
    assert "ValueError: one" in text
    assert text.endswith("RuntimeError: the stage failed\n")


def test_an_exception_that_can_not_be_looked_at_becomes_a_note() -> None:
    """It is told that there was one, and of which class."""

    class ShyError(Exception):
        def __getattribute__(self, name: str) -> object:
            if name in ("__cause__", "__notes__"):
                raise RuntimeError(name)
            return super().__getattribute__(name)

    error = ShyError("no")
    text = FrozenError.freeze((ShyError, error, None)).render()
    assert text == "ShyError whose traceback can't be had: RuntimeError\n"


def test_notes_are_shown() -> None:
    """What was added to an exception on its way is part of its words."""
    error = caught(plain)
    error.__notes__ = ["while reading projects"]  # type: ignore[attr-defined]
    assert frozen(error).render().endswith("ValueError: wrong\nwhile reading projects\n")


def test_a_chain_that_goes_in_a_circle_ends() -> None:
    """Each exception is shown once."""
    text = frozen(caught(circular)).render()
    assert text.count("ValueError: first") == text.count("ValueError: second") == 1


def test_of_a_recursion_the_innermost_frames_are_kept() -> None:
    """And how many others there were is said."""
    text = frozen(caught(deep)).render()
    assert "frames left out" in text
    assert text.endswith("RecursionError: too deep\n")
    assert ", in caught\n" not in text
    assert len(frozen(caught(deep)).frames) == 2 * KEPT_FRAMES


def test_an_exception_without_a_text_is_named() -> None:
    """Whatever its own __str__ raises."""
    assert "OwnError" in frozen(caught(unreadable)).render()


def test_nothing_that_a_frame_holds_is_kept_alive() -> None:
    """A frame's data may be large, and its record may wait for hours."""

    class Data:
        pass

    alive: list[weakref.ref[Data]] = []

    def holds_data() -> None:
        data = Data()
        alive.append(weakref.ref(data))
        raise ValueError(len(alive))

    kept = frozen(caught(holds_data))
    gc.collect()
    assert alive[0]() is None
    assert "ValueError: 1" in kept.render()
