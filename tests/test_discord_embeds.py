"""Messages are valid whatever was logged, and a person can read them."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectra_logging.activity import ACTIVITY_LOGGER
from spectra_logging.discord.message import Appearance, build_message
from spectra_logging.discord.notice import Notice, bound_fields, freeze, key_of
from spectra_logging.discord.text import fenced, plain
from spectra_logging.exc_info import exc_info_triple
from spectra_logging.redaction import register_secret
from spectra_logging.testing.discord_rules import form_errors, is_empty

SECRET = "s3cret-of-the-property-test"


def record(
    message: Any = "it failed",
    args: Any = (),
    level: int = logging.ERROR,
    name: str = "tests",
    error: BaseException | None = None,
    **extra: Any,
) -> logging.LogRecord:
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord(name, level, "/srv/app.py", 7, message, args, exc_info, "load")
    made.__dict__.update(extra)
    return made


def notice(made: logging.LogRecord, count: int = 1, *, is_repeat: bool = False) -> Notice:
    bound, exc_info = bound_fields(), exc_info_triple(made.exc_info)
    frozen = freeze(made, key_of(made, bound, exc_info), bound, exc_info)
    frozen.count, frozen.is_repeat = count, is_repeat
    return frozen


def embed_of(made: logging.LogRecord, **options: Any) -> dict[str, Any]:
    (embed,) = build_message([notice(made, **options)], Appearance(), {}).payload["embeds"]
    return dict(embed)


# Any code point, lone surrogates and controls included; pieces of Markdown; and lengths around the
# limits, which few random texts reach.
pieces = st.one_of(
    st.text(max_size=8),
    st.text(alphabet=st.characters(), max_size=8),
    st.sampled_from(
        ["```", "`", "\\", "@everyone", "<@&1>", "\n", "\0", " ", "**", "[a](b)", SECRET]
    ),
)
texts = st.builds(
    lambda parts, times: "".join(parts) * times,
    st.lists(pieces, max_size=3),
    st.sampled_from([1, 1, 1, 7, 60, 1000]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, st.binary(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=3,
)
FIELD_NAMES = st.one_of(
    texts.filter(lambda name: name not in logging.LogRecord("", 0, "", 0, "", (), None).__dict__),
    st.sampled_from(["stage", "notebook_name", "duration_seconds", "error_message", "error_type"]),
)
errors = st.builds(
    lambda words, cause: _raised(ValueError(words), cause),
    texts,
    st.one_of(st.none(), st.builds(OSError, texts)),
)


def _raised(error: Exception, cause: Exception | None) -> Exception:
    try:
        raise error from cause
    except ValueError as raised:
        return raised


records = st.builds(
    lambda message, args, level, name, error, extra: record(
        message, args, level, name, error, **extra
    ),
    texts,
    st.one_of(st.just(()), st.tuples(values)),
    st.integers(0, 60),
    texts,
    st.one_of(st.none(), errors),
    st.builds(
        lambda few, value, many: {**{f"field {n}": value for n in range(many)}, **few},
        st.dictionaries(FIELD_NAMES, values, max_size=3),
        values,
        st.sampled_from([0, 0, 40]),
    ),
)
RUN_FIELDS = (
    *("execution_id", "stage", "notebook_name", "error_message", "error_type", "error_summary"),
    *("capabilities", "metadata", "source_name", "duration_seconds"),
)
run_records = st.builds(
    lambda status, extra: record(
        "record", name=ACTIVITY_LOGGER, **{**extra, "activity_id": "1", "status": status}
    ),
    st.sampled_from(["Failed", "Success"]),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(RUN_FIELDS, values),
    ),
)
notices = st.builds(
    lambda made, count, is_repeat: notice(made, count, is_repeat=is_repeat),
    st.one_of(records, run_records),
    st.integers(1, 10**9),
    st.booleans(),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    told=st.builds(
        lambda few, times: (few * times)[:10],
        st.lists(notices, min_size=1, max_size=2),
        st.sampled_from([1, 1, 5, 10]),
    ),
    along=st.builds(
        lambda made, times: [notice(made)] * times, records, st.sampled_from([0, 1, 8])
    ),
    drops=st.dictionaries(st.sampled_from(["queue_full"]), st.integers(1, 10**12)),
    role=st.one_of(st.none(), st.just("42")),
)
def test_a_message_is_valid_whatever_was_logged(
    told: list[Notice], along: list[Notice], drops: dict[str, int], role: str | None
) -> None:
    """Any text, any length, any extras, ten at once: within the limits, without secrets."""
    register_secret(SECRET)
    told[0].along = tuple(along)
    message = build_message(told, Appearance(username="Ours", mention_role_id=role), drops)
    assert not is_empty(message.payload, message.files)
    assert form_errors(message.payload, message.files) == {}
    assert len(message.payload["embeds"]) == len(told)
    assert sum(len(content) for _, content in message.files) < 10 << 20
    assert message.payload["allowed_mentions"]["parse"] == []
    assert SECRET not in str(message.payload)
    assert not any(SECRET.encode() in content for _, content in message.files)
    content = message.payload.get("content", "")
    assert "@everyone" not in content
    for embed in message.payload["embeds"]:
        assert embed.get("description", "").count("```") in {0, 2}


@given(text=texts, limit=st.integers(1, 500))
def test_plain_text_fits_and_can_not_act_as_markup(text: str, limit: int) -> None:
    """No longer than allowed, every mark escaped, no mention left."""
    shown = plain(text, limit)
    assert len(shown) <= limit
    assert "@everyone" not in shown
    rest = shown.replace("\\\\", "")
    for mark in "*_~|`<>[]#":
        assert mark not in rest.replace(f"\\{mark}", "")


@given(text=texts, limit=st.integers(0, 500))
def test_a_fence_fits_and_stays_closed(text: str, limit: int) -> None:
    """Nothing inside of it ends it."""
    shown = fenced(text, limit)
    assert len(shown) <= limit
    assert shown.count("```") in {0, 2}


def test_an_event_says_what_happened_where_and_with_which_error() -> None:
    """The whole of an embed, as a person sees it."""
    error = _raised(ValueError("no such order"), None)
    embed = embed_of(
        record("order %d refused", (17,), error=error, name="shop.checkout", customer="c-42"),
        count=3,
    )
    assert embed["title"] == "ERROR: order 17 refused (×3)"
    assert embed["color"] == 0xE03131
    assert embed["description"].startswith("**ValueError** no such order\n```py\nTraceback")
    assert embed["description"].endswith("ValueError: no such order\n```")
    assert {"name": "Where", "value": "shop.checkout, load:7", "inline": True} in embed["fields"]
    assert {"name": "customer", "value": "c-42", "inline": True} in embed["fields"]
    assert "process" in embed["footer"]["text"]
    assert embed["timestamp"].endswith("Z")


@pytest.mark.parametrize("created", [1.8e12, 1.8e300, float("nan")])
@pytest.mark.parametrize("is_repeat", [False, True])
def test_an_odd_record_spoils_no_other_of_its_message(created: float, is_repeat: bool) -> None:
    """One whose time no one can read is shown as of now, or as one that can't be shown."""
    odd = record("odd one")
    odd.created = created
    notices = [notice(record("first")), notice(odd, 2, is_repeat=is_repeat), notice(record("last"))]
    payload = build_message(notices, Appearance(), {}).payload
    assert form_errors(payload, []) == {}
    titles = [embed["title"] for embed in payload["embeds"]]
    assert [title.split(" (")[0] for title in titles] == [
        "ERROR: first",
        "ERROR: odd one",
        "ERROR: last",
    ]
    assert is_repeat == ("can't be shown" in payload["embeds"][1].get("description", ""))


def test_a_repeat_says_how_often_and_when() -> None:
    """What was told before is told again by its number."""
    embed = embed_of(record("again"), count=12, is_repeat=True)
    assert embed["title"] == "ERROR: again (×12 more)"
    assert embed["description"].startswith("12 more of these, from ")


def test_a_stack_that_was_asked_for_is_no_exception() -> None:
    """Its last line is one of source, and names no class of one."""
    stack = 'Stack (most recent call last):\n  File "/srv/app.py", line 7, in load\n    f(x): g(y)'
    embed = embed_of(record("slow", stack_info=stack))
    assert embed["description"] == f"```py\n{stack}\n```"


def test_a_message_of_several_lines_is_shown_whole() -> None:
    """Its first line is the title, and the rest is below."""
    embed = embed_of(record("first\nsecond *line*"))
    assert embed["title"] == "ERROR: first"
    assert embed["description"] == "second \\*line\\*"


@pytest.mark.parametrize(
    ("summary", "advice"),
    [
        ({"errors_by_category": {"authentication": 1}}, "renew the source system's token"),
        ({"has_retryable_errors": True}, "run the notebook again; such errors often pass"),
        (None, "mend what the error names"),
    ],
)
def test_a_failed_run_says_what_to_do_next(summary: Any, advice: str) -> None:
    """By the class of what went wrong, and where to look."""
    made = record(
        "record",
        name=ACTIVITY_LOGGER,
        activity_id="1",
        status="Failed",
        stage="Source",
        error_summary=summary,
    )
    description = embed_of(made)["description"]
    assert advice in description
    assert "Tables/log/sourcelog" in description


def test_a_long_traceback_is_attached_and_its_end_shown() -> None:
    """The last lines tell most; the file has all of them."""

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            raise ValueError("the end" + " x" * 3000)

    try:
        deep(100)
    except ValueError as error:
        message = build_message([notice(record(error=error))], Appearance(), {})
    ((name, content),) = message.files
    assert message.payload["attachments"] == [{"id": 0, "filename": name}]
    assert content.decode().startswith("it failed\n\nTraceback (most recent call last)")
    assert "the end" in content.decode()
    assert form_errors(message.payload, message.files) == {}
