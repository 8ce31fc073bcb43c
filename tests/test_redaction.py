"""Secrets are hidden in every form and place, and nothing else is touched."""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import re
import sys
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, urlencode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

from spectra_logging.errors import ConfigurationError, SpectraWarning
from spectra_logging.redaction import (
    REDACTED,
    RedactionFilter,
    is_secret_key,
    may_hold_secret,
    redact_text,
    redact_value,
    register_secret,
    secret_bytes_pattern,
)
from spectra_logging.redaction.registry import current, forget_secrets

SECRET = 'p4 "ss\\w/ö+rd='

PERCENT_CODE = re.compile("%[0-9A-F]{2}")

ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "repr": lambda text: repr(text)[1:-1],
    "repr of its bytes": lambda text: repr(text.encode())[2:-1],
    "json": lambda text: json.dumps(text)[1:-1],
    "json, not ascii": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "json in json": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "percent": quote,
    "percent, all": lambda text: quote(text, safe=""),
    "percent, lower case": lambda text: PERCENT_CODE.sub(
        lambda code: code[0].lower(), quote(text, safe="")
    ),
    "form": quote_plus,
    "query": lambda text: urlencode({"q": text})[2:],
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, urlsafe": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 of user:secret": lambda text: base64.b64encode(f"me:{text}".encode()).decode(),
    "base64 of key:secret": lambda text: base64.b64encode(f"key:{text}".encode()).decode(),
    "base64 of secret and more": lambda text: base64.b64encode(f"user:{text}!".encode()).decode(),
}

# What is logged around a secret, without the letters of any of the secrets drawn below.
SURROUNDINGS = st.text("XYZ09 .,;:/?&=\"'\\{}[]()\n\té*-_%", max_size=20)
SECRETS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=4)


# -- keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    """token api_token X-Auth-Token authToken ID_TOKEN csrf-token access_tokens sas_token authtoken
    password passwd pwd PASSWORD DB_PASSWORD PGPASSWORD userPassword password2 password_old db_pass
    secret clientSecret client_secret secrets secret_value authorization Proxy-Authorization
    basic_auth api_key apikey apiKey APIKey x-api-key OPENAI_API_KEY access_key AccessKey
    private_key AccountKey SharedAccessKey SharedAccessSignature credential credentials aws.creds
    cookie Set-Cookie session_cookie connection_string connectionString conn_str sas sas_url
    webhook_url DISCORD_WEBHOOK_URL_ZEPHYR discord_webhook jwt
    fs.azure.account.key.example.dfs.core.windows.net""".split(),
)
def test_keys_of_secrets_are_known_in_any_spelling(key: str) -> None:
    """Snake, kebab, camel, capitals, dotted, and written together."""
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    """key keys key_column project_key primary_key primaryKey partition_key foreignKey sort_keys
    token_count token_refresh_count token_type tokens tokens_used max_tokens prompt_tokens max_token
    tokenizer secretary secret_name secret_scope has_password password_length requires_auth
    needs_token
    author authors authority authorized authorised auth_method auth_status authVerified monkey
    keyboard donkey_key turkey passed pass passenger compass string connection connections
    sassy cookie_policy credential_type webhook_status token_url signature signal url
    event row_count entity_name 1 _""".split(),
)
def test_everyday_keys_stay_readable(key: str) -> None:
    """Keys that merely look like one, or whose values are about a secret."""
    assert not is_secret_key(key)


# -- registered secrets ----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_registered_secret_is_hidden_in_every_form(encoding: str) -> None:
    """Escaped, percent-encoded and in base64, and what stands around it stays."""
    register_secret(SECRET)
    shown = ENCODINGS[encoding](SECRET)
    redacted = redact_text(f"before {shown} after")
    assert SECRET not in redacted
    assert shown not in redacted
    assert REDACTED in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")


@given(SECRETS, SURROUNDINGS, SURROUNDINGS, st.sampled_from(sorted(ENCODINGS)))
def test_no_surroundings_bring_a_registered_secret_through(
    secret: str, before: str, after: str, encoding: str
) -> None:
    """In text and in structures, whatever the secret and whatever surrounds it."""
    forget_secrets()
    register_secret(secret)
    if len(secret.strip()) < 4:
        return
    shown = ENCODINGS[encoding](secret.strip())
    text = before + shown + after
    redacted = redact_text(text)
    assert shown not in redacted
    assert may_hold_secret(text)
    assert redact_text(redacted) == redacted
    value = {"a": [text, (text, {text})], shown: text}
    assert shown not in json.dumps(redact_value(value), default=str, ensure_ascii=False)


@given(SECRETS, SURROUNDINGS)
def test_a_registered_secret_is_found_in_encoded_lines(secret: str, around: str) -> None:
    """The bytes pattern finds what a JSON encoder makes of it."""
    forget_secrets()
    register_secret(secret)
    pattern = secret_bytes_pattern()
    if pattern is not None:
        for ascii_only in (True, False):
            line = json.dumps({"event": around + secret.strip()}, ensure_ascii=ascii_only)
            assert pattern.search(line.encode())


def test_without_secrets_there_is_no_pattern_to_search_for() -> None:
    """The hot path skips the search altogether."""
    assert secret_bytes_pattern() is None


def test_the_longer_of_two_secrets_is_hidden_whole() -> None:
    """A secret that begins another leaves no rest of it."""
    register_secret("hunter")
    register_secret("hunter2000")
    assert redact_text("is hunter2000 or hunter here") == "is *** or *** here"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_secret_of_several_lines_is_hidden_however_they_end_or_are_indented(
    line_end: str,
) -> None:
    """A private key is one, and the traceback of a group of exceptions has a margin."""
    key = ["-----BEGIN EXAMPLE KEY-----", "MIIEvQIBADANBgkq", "", "hkiG9w0BAQEFAASC"]
    register_secret(line_end.join(key))
    assert redact_text("\n".join(key)) == redact_text("\r\n".join(key)) == "***"
    inner = ExceptionGroup("inner", [ValueError("\n".join(key))])
    text = "".join(traceback.format_exception(ExceptionGroup("outer", [ValueError("a"), inner])))
    assert all(line in text for line in key)
    assert not any(line in redact_text(text) for line in key if line)


def test_of_secrets_that_overlap_nothing_is_left() -> None:
    """Neither has its rest shown because the other has been found."""
    for secret in ("alpha-beta-gamma", "gamma-delta-epsilon", "delta-epsi"):
        register_secret(secret)
    assert redact_text("<alpha-beta-gamma-delta-epsilon>") == "<***>"
    assert redact_text("<gamma-delta-epsilongamma-delta-epsilon>") == "<******>"


def test_a_secret_that_a_replacement_completes_is_hidden_too() -> None:
    """Else redacting a second time would hide more than the first."""
    for secret in ("hunter2000", "swordfish***"):
        register_secret(secret)
    assert redact_text("<swordfishhunter2000>") == "<***>"


def test_a_number_registered_as_a_secret_is_hidden_as_a_number() -> None:
    """A PIN is a secret also where a field holds it as an int."""
    register_secret("48151623")
    assert redact_value({"n": 48151623, "m": 48151624}) == {"n": REDACTED, "m": 48151624}
    for number in (-48151623, 48151623.0, Decimal(48151623)):
        assert "48151623" not in str(redact_value([number]))


def test_a_secret_that_is_a_uuid_is_hidden_as_one() -> None:
    """Keys of APIs often are, and a program may hold them so."""
    key = UUID("6f1e0f6a-3d0b-4a51-9d6b-0c2a7d1f5e11")
    register_secret(str(key))
    other = UUID(int=1)
    assert redact_value([key, other]) == ["***", other]


def test_a_secret_of_digits_hides_no_other_number() -> None:
    """One that begins with zeros is no number that a field could hold, nor is a very long one."""
    for secret in ("0001", "0000", "1" * 5000):
        register_secret(secret)
    assert redact_value({"n": 1, "m": 0}) == {"n": 1, "m": 0}
    assert redact_text("the PIN is 0001") == "the PIN is ***"


def test_white_space_around_a_secret_is_not_part_of_it() -> None:
    """A secret read from a file ends with a line feed, the header made of it does not."""
    register_secret("from-a-file\n")
    assert redact_text("got from-a-file.") == "got ***."


def test_empty_secrets_are_ignored_and_short_ones_warned_of() -> None:
    """Neither may turn every message into asterisks."""
    register_secret("")
    register_secret(" \n")
    with pytest.warns(SpectraWarning, match="3 characters") as warned:
        register_secret("abc")
    assert "'abc'" not in str(warned[0].message)
    assert redact_text("abc") == "abc"
    assert redact_text("token=abc") == "token=***"


def test_what_is_no_text_is_refused_without_being_shown() -> None:
    """The error names the type; the value may be a secret all the same."""
    with pytest.raises(ConfigurationError, match="not bytes") as raised:
        register_secret(b"hunter2000")  # type: ignore[arg-type]
    assert "hunter2000" not in str(raised.value)


def test_a_key_that_is_no_text_is_refused_by_type_checkers_too() -> None:
    """mypy, which tests are held to, knows its parameter, though its answers are remembered."""
    with pytest.raises(TypeError):
        is_secret_key(3)  # type: ignore[arg-type]


def test_no_repr_shows_a_registered_secret() -> None:
    """Nothing that a debugger or a traceback with locals prints."""
    register_secret("hunter2000")
    assert "hunter2000" not in repr(current())


def test_to_register_many_secrets_takes_time_proportional_to_their_number() -> None:
    """A thousand, as of tenants; were each to make anew what finds them all, it took minutes."""
    for number in range(1000):
        register_secret(f"secret of tenant {number:04}")
    assert redact_text("got secret of tenant 0000, secret%20of%20tenant%200999") == "got ***, ***"


def test_secrets_registered_at_the_same_time_are_all_kept() -> None:
    """Registration replaces the whole state, and must not lose another thread's."""
    secrets = [f"secret-number-{number:03d}" for number in range(40)]
    start = threading.Barrier(8)

    def register(mine: list[str]) -> None:
        start.wait()
        for secret in mine:
            register_secret(secret)

    threads = [threading.Thread(target=register, args=(secrets[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(redact_text(" ".join(secrets)).split()) == {REDACTED}


def test_a_message_judged_before_its_secret_was_registered_is_judged_anew() -> None:
    """Remembered verdicts don't outlive the secrets they were found under."""
    assert not may_hold_secret("connected with hunter2000")
    register_secret("hunter2000")
    assert may_hold_secret("connected with hunter2000")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_child_forked_during_a_registration_can_register() -> None:
    """The lock that another thread held at the fork doesn't hang the child."""
    from spectra_logging.redaction import registry

    with registry._registering:
        child = os.fork()
        if not child:
            try:
                register_secret("hunter2000")
            finally:
                os._exit(0 if redact_text("hunter2000") == REDACTED else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# -- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token=abc", "token=***"),
        ("Token: abc, x=1", "Token: ***, x=1"),
        ("retry with password=hunter2 in 5 s", "retry with password=*** in 5 s"),
        ("(password=hunter2) failed", "(password=***) failed"),
        ("password=a,b;c)d next", "password=*** next"),
        ("--api-key=abc --verbose", "--api-key=*** --verbose"),
        ("API key: abc", "API key: ***"),
        ("connection string: abc", "connection string: ***"),
        ('{"token": "a\\"b c", "x": 1}', '{"token": "***", "x": 1}'),
        ('{"token":12345,"x":1}', '{"token":"***","x":1}'),
        ('{"a":{"token":12345},"b":1}', '{"a":{"token":"***"},"b":1}'),
        ('{"secrets": ["a", "b"], "n": 1}', '{"secrets": "***", "n": 1}'),
        ('"{\\"token\\": \\"abc\\", \\"n\\": 1}"', '"{\\"token\\": \\"***\\", \\"n\\": 1}"'),
        ("{'password': 'x y', 'n': 1}", "{'password': '***', 'n': 1}"),
        ("{b'token': b'abc d'}", "{b'token': b'***'}"),
        ("credentials={'user': 'me', 'key': [1, '}']} ok", "credentials=*** ok"),
        (
            '{\\"secrets\\": {\\"a\\": \\"x} y\\"}, \\"n\\": 1}',
            '{\\"secrets\\": \\"***\\", \\"n\\": 1}',
        ),
        ('secrets={"a": "\\"} b", "c": "\\\\"} ok', "secrets=*** ok"),
        ("Authorization: Bearer xyz.123", "Authorization: ***"),
        ("Authorization: Basic dXNlcjp4 sent", "Authorization: *** sent"),
        ('authorization: Digest username="me", response="abc"', "authorization: ***"),
        ("sent Bearer xyz.123-4 to the server", "sent Bearer *** to the server"),
        ("Cookie: a=b; c=d", "Cookie: ***"),
        ("https://me:pa@ss@example.com/x", "https://me:***@example.com/x"),
        ("https://token:abc@example.com/x", "https://token:***@example.com/x"),
        ("GET /x?api_key=abc&page=2 took 3 ms", "GET /x?api_key=***&page=2 took 3 ms"),
        ("https://example.com/x?sv=1&sig=a%2Bb&se=2", "https://example.com/x?sv=1&sig=***&se=2"),
        (
            "https://discord.example.com/api/webhooks/123/abc-DEF_1?wait=true",
            "https://discord.example.com/api/webhooks/123/***?wait=true",
        ),
        ("AccountName=me;AccountKey=ab+/c==;Suffix=x", "AccountName=me;AccountKey=***;Suffix=x"),
        ("fs.azure.account.key.example=abc==", "fs.azure.account.key.example=***"),
        ("Password        : hunter2\nName : x", "Password        : ***\nName : x"),
        ("password =         hunter2", "password =         ***"),
        ("password := hunter2", "password := ***"),
        ("token=[never closed", "token=***"),
        ("token='never closed\nnext line", "token='***\nnext line"),
        ("https://ghp_0123456789abcdefghij@example.com/x", "https://***@example.com/x"),
        ("mysql --user me --password hunter2 shop", "mysql --user me --password *** shop"),
        ("mysql --password 'hunter 2' shop", "mysql --password *** shop"),
        ("['mysql', '--password', 'hunter 2', 'shop']", "['mysql', '--password', '***', 'shop']"),
        ('["mysql","--password","hunter2"]', '["mysql","--password","***"]'),
    ],
)
def test_a_value_behind_a_secret_key_is_hidden_and_the_rest_stays(text: str, expected: str) -> None:
    """Only the value goes; the message around it can still be read."""
    assert may_hold_secret(text)
    assert redact_text(text) == expected
    assert redact_text(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Loaded 500 rows",
        'log_activity(key_column="id", primary_key=7, token_count=5, author=me)',
        "authority: example.com, monkey: 3, tokens_used=12",
        "the bearer token expired",
        "token=None, secret: null, password=",
        "the password is wrong: try again",
        "std::token::parse failed at 12:00:00",
        "Tables/source/credentials: 1 row",
        "abfss://container@account.dfs.core.windows.net/Tables/log",
        "https://example.com/tokens/password?page=2",
        "10 tests: 9 passed: ok=9 failed=1",
        "Unexpected token: }",
        "https://me@example.com/x",
        "abfss://0123456789abcdef-0123@account.dfs.core.windows.net/Tables/log",
        "--token is required, or --password-file instead",
        "['mysql', '--password-file', 'a.txt', '--token', '--verbose']",
        "-- token x --- password y",
    ],
)
def test_text_without_secrets_is_returned_as_it_is(text: str) -> None:
    """The same object, and the cheap question says so beforehand."""
    assert redact_text(text) is text
    assert not may_hold_secret(text)


KEYED = st.lists(
    st.one_of(
        st.sampled_from(
            ["token", "password", "api key", "key", "Bearer ", "Cookie", "=", ": ", '"', "'", "\\"]
        ),
        st.sampled_from(["--token", "--api-key ", "', '", '","', "https://", "a" * 20]),
        st.sampled_from(["{", "}", "[", "]", "(", ")", ",", ";", "&", "://", "@", "/", " ", "\n"]),
        st.text("abc019", min_size=1, max_size=4),
    ),
    max_size=14,
).map("".join)


@given(KEYED)
def test_redacting_again_changes_nothing(text: str) -> None:
    """Text goes through several sinks, and each scrubs it."""
    redacted = redact_text(text)
    assert redact_text(redacted) == redacted
    if not may_hold_secret(text):
        assert redacted is text


@given(st.text(st.characters(exclude_characters=":=", codec="utf-8")))
def test_any_text_without_a_separator_or_a_scheme_is_untouched(text: str) -> None:
    """Nothing is hidden that is no registered secret and stands behind no key."""
    if "earer" not in text and "/webhooks/" not in text and "--" not in text:
        assert redact_text(text) is text


@given(st.sampled_from(["password", "api_key", "X-Auth-Token"]), st.text("abcXYZ019._~+/-@$%!#"))
def test_any_unquoted_value_is_hidden_whole(key: str, value: str) -> None:
    """Whatever characters passwords are made of, up to the white space."""
    if value and value.lower() not in ("none", "null", "true", "false"):
        assert redact_text(f"use {key}={value} now") == f"use {key}=*** now"


@pytest.mark.parametrize(
    "piece",
    ["a", "a-", "token=", "token=[\n", 'token="', 'token=\\"', "token='\n", "token=x,a", "token ",
     "://a:", "Bearer ", ":", "token=a:", "(token=", "token={'a", "/webhooks/1", "=)", "api key ",
     'token=[[[\\"', "token={'", "\\", 'token={\\', "token={a\\'",
     "token" + " " * 40, "--a", "--a ", "--a '", "--a', '", "https://a", "https://a" * 3 + "@",
     "--token a" + ")" * 1000 + "x"],
)  # fmt: skip
def test_hostile_text_is_scanned_in_time_proportional_to_its_length(piece: str) -> None:
    """A megabyte of what makes regular expressions stumble; in quadratic time this never ends."""
    register_secret("hunter2000")
    text = piece * (1_000_000 // len(piece))
    assert "hunter2000" not in redact_text(text + " hunter2000")


# -- values ----------------------------------------------------------------------------------


def test_values_under_secret_keys_are_hidden_at_every_depth() -> None:
    """Whatever the value is, in mappings, sequences and sets."""
    value = {
        "rows": [{"api_key": 5}, ({"password": ["a"]},)],
        "headers": MappingProxyType({"Authorization": "Basic abc", b"cookie": b"a=b"}),
        "n": 1,
    }
    assert redact_value(value) == {
        "rows": [{"api_key": REDACTED}, ({"password": REDACTED},)],
        "headers": {"Authorization": REDACTED, b"cookie": REDACTED},
        "n": 1,
    }


def test_what_only_says_that_there_is_no_secret_stays() -> None:
    """`token=None` is how a person finds out what is missing."""
    value = {"token": None, "password": "", "secret": True, "api_key": REDACTED}
    assert redact_value(value) is value


def test_a_value_without_secrets_is_the_same_object() -> None:
    """No copies for the many calls that have nothing to hide."""
    value = {"a": [1, 2.5, None, True, "x", b"y", Decimal(1)], "b": ({"c": {3}},), "d": object()}
    assert redact_value(value) is value


class Pair(NamedTuple):
    """A tuple whose fields have names."""

    a: object
    b: object


def test_sequences_keep_their_kind() -> None:
    """Lists, tuples, named tuples and sets come back as such."""
    register_secret("hunter2000")
    assert redact_value(["hunter2000"]) == [REDACTED]
    assert redact_value(("hunter2000",)) == (REDACTED,)
    redacted = redact_value(Pair("hunter2000", 1))
    assert isinstance(redacted, Pair)
    assert redacted == Pair(REDACTED, 1)
    assert redact_value({"hunter2000"}) == {REDACTED}
    assert redact_value(b"is hunter2000") == b"is ***"
    assert redact_value(OrderedDict(a="hunter2000")) == {"a": REDACTED}


def nested(value: object, levels: int) -> object:
    """The value in that many lists, one in the other."""
    for _ in range(levels):
        value = [value]
    return value


def test_cycles_and_great_depth_are_cut_off() -> None:
    """Neither hangs, and neither hides a secret from the scan."""
    cyclic: dict[str, object] = {"token": "abc"}
    cyclic["self"] = cyclic
    assert redact_value(cyclic) == {"token": REDACTED, "self": "<cycle>"}
    assert redact_value(nested({"token": "abc"}, 63)) == nested({"token": REDACTED}, 63)
    for levels in (64, 500):
        deep = redact_value(nested({"token": "abc"}, levels))
        assert deep == nested("<nested too deeply>", 64)


class Shown:
    """An object with a text of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class ShownByItsRepr(Shown):
    """An object whose text for people is another."""

    def __str__(self) -> str:
        return "nothing to see"


class Unshowable:
    """An object that can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_objects_are_replaced_only_when_their_text_shows_a_secret() -> None:
    """A settings object with a password in its repr, say."""
    harmless = Shown("Settings(a=1)")
    assert redact_value(harmless) is harmless
    assert redact_value(Shown("Settings(password='x')")) == "Settings(password='***')"
    assert redact_value(ShownByItsRepr("password='x'")) == "password='***'"
    assert redact_value(Unshowable()) == "<Unshowable whose text can't be had: RuntimeError>"


def test_secrets_in_keys_that_are_no_text_are_hidden() -> None:
    """A key may be a tuple, a number, bytes, or an object of any class."""
    register_secret("hunter2000")
    register_secret("48151623")

    class Named:
        def __repr__(self) -> str:
            return "Named(hunter2000)"

    keys = [("a", ("b", "hunter2000")), frozenset({"hunter2000"}), b"hunter2000", 48151623, Named()]
    for key in keys:
        shown = repr(redact_value({key: 1, "other": 2}))
        assert "***" in shown
        assert "hunter2000" not in shown
        assert "48151623" not in shown
    harmless = {("a", 1): 1, None: 2, 3: 4}
    assert redact_value(harmless) is harmless


def test_keys_that_only_their_secrets_told_apart_are_all_kept() -> None:
    """The second gets a number."""
    register_secret("hunter2000")
    register_secret("hunter3000")
    assert redact_value({"hunter2000": 1, "hunter3000": 2}) == {"***": 1, "***_2": 2}


class Growing:
    """An object whose text adds a secret to the container that holds it."""

    def __init__(self) -> None:
        self.mapping: dict[str, object] = {"a": self}
        self.items: list[object] = [self]

    def __repr__(self) -> str:
        self.mapping["token"] = "abc"
        self.items.append("abc")
        return "growing"


def test_containers_that_change_meanwhile_are_taken_as_they_were() -> None:
    """As when another thread fills them: nothing raises, and nothing unseen slips through."""
    growing = Growing()
    assert redact_value(growing.mapping) == {"a": growing}
    growing.items = [growing]
    assert redact_value(growing.items) == [growing]


class Unreadable(Mapping[str, object]):
    """A mapping that can't be looked through."""

    def __getitem__(self, key: str) -> object:
        raise OSError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter(("token",))

    def __len__(self) -> int:
        return 1


class ArrayLike:
    """An object that compares item by item, as numpy's arrays do."""

    def __eq__(self, other: object) -> Any:
        return ArrayLike()

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_containers_that_can_not_be_looked_through_become_a_note() -> None:
    """And a value is hidden under a secret key however it compares."""
    note = "<Unreadable that can't be looked through: OSError>"
    assert redact_value([Unreadable(), 1]) == [note, 1]
    assert redact_value({"token": ArrayLike(), "n": 1}) == {"token": "***", "n": 1}


# -- the filter ------------------------------------------------------------------------------


class Collecting(logging.Handler):
    """Keeps the records it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def text(self) -> str:
        """All that a handler could show."""
        formatter = logging.Formatter()
        return "\n".join(
            formatter.format(record) + repr(record.__dict__) for record in self.records
        )


@pytest.fixture
def two_handlers() -> tuple[logging.Logger, Collecting, Collecting]:
    """A logger with a filtered handler first, and one without a filter after it."""
    logger = logging.Logger("shop")
    filtered, plain = Collecting(), Collecting()
    filtered.addFilter(RedactionFilter())
    logger.addHandler(filtered)
    logger.addHandler(plain)
    return logger, filtered, plain


def log_secrets_everywhere(logger: logging.Logger) -> None:
    """In the message, its arguments, extras, the exception and its cause."""
    register_secret("hunter2000")
    logger.info("with %s", "hunter2000", extra={"password": "pw-1", "deep": [{"token": "pw-2"}]})
    logger.info({"msg": "hunter2000"})
    logger.info(ValueError("refused: password=%s for %s"), "pw-6", "hunter2000")
    logger.info(ValueError("api_key=pw-7 in %s"), {"secret": "pw-8"})
    logger.info("password=pw-3 %s", {"secret": "pw-4"}, stack_info=True)
    try:
        try:
            dict[str, str]()["hunter2000"]
        except KeyError as error:
            raise RuntimeError("api_key=pw-5") from error
    except RuntimeError:
        logger.exception("failed")


def test_a_filtered_handler_sees_no_secret(
    two_handlers: tuple[logging.Logger, Collecting, Collecting],
) -> None:
    """Not in anything a formatter of the handler could show."""
    logger, filtered, _ = two_handlers
    log_secrets_everywhere(logger)
    shown = filtered.text()
    for secret in ("hunter2000", *(f"pw-{number}" for number in range(1, 9))):
        assert secret not in shown
    assert "RuntimeError: api_key=***" in shown
    assert "with ***" in shown


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters replace records since Python 3.12")
def test_other_handlers_see_the_original_record(
    two_handlers: tuple[logging.Logger, Collecting, Collecting],
) -> None:
    """The filter scrubs a copy."""
    logger, _, plain = two_handlers
    log_secrets_everywhere(logger)
    assert plain.records[0].args == ("hunter2000",)
    assert plain.records[0].password == "pw-1"  # type: ignore[attr-defined]
    assert plain.records[-1].exc_info is not None


def test_a_record_without_secrets_passes_unchanged(
    two_handlers: tuple[logging.Logger, Collecting, Collecting],
) -> None:
    """Message and arguments stay apart, as formatters may want them."""
    logger, filtered, plain = two_handlers
    logger.info("loaded %d rows", 3, extra={"entity": "book"})
    assert filtered.records[0] is plain.records[0]
    assert filtered.records[0].args == (3,)


def test_whatever_a_record_holds_the_filter_raises_nothing(
    two_handlers: tuple[logging.Logger, Collecting, Collecting],
) -> None:
    """Fields may have keys of any kind, and a text may be a class that refuses to be shown."""

    class Unshowable(str):
        __slots__ = ()

        def __str__(self) -> str:
            raise RuntimeError("no")

    logger, filtered, _ = two_handlers
    register_secret("hunter2000")
    extra: dict[Any, object] = {200: "hunter2000", ("api", "token"): "pw-1", 404: "kept"}
    logger.info("sold", extra=extra)
    logger.info(Unshowable("sold"))
    with_fields, _ = filtered.records
    fields: dict[Any, object] = with_fields.__dict__
    assert [fields[key] for key in extra] == ["***", "***", "kept"]


def test_what_is_no_text_or_can_not_be_shown_stops_no_record_at_the_filter() -> None:
    """A record may come from elsewhere, and an exception may be of any class."""

    class ShyError(Exception):
        def __getattribute__(self, name: str) -> object:
            if name in ("__cause__", "__notes__"):
                raise RuntimeError(name)
            return super().__getattribute__(name)

    for odd in ({"stack_info": 5}, {"exc_text": 5}, {"exc_info": (ShyError, ShyError("no"), None)}):
        assert RedactionFilter().filter(logging.makeLogRecord({"msg": "sold", **odd}))


class BraceRecord(logging.LogRecord):
    """Of a program that logs in the style of ``str.format``."""

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        return str(self.msg).format(*self.args or ())


def test_a_record_that_fills_in_its_arguments_itself_can_be_shown_when_scrubbed(
    two_handlers: tuple[logging.Logger, Collecting, Collecting],
) -> None:
    """Its message may hold braces, which no longer stand for arguments."""
    logger, filtered, _ = two_handlers
    register_secret("hunter2000")
    message = 'answered {{"user": "{}", "id": {}}}'
    logger.handle(BraceRecord("shop", 20, "", 0, message, ("hunter2000", 3), None))
    logger.handle(BraceRecord("shop", 20, "", 0, message, ("me", 3), None))
    assert [logging.Formatter().format(record) for record in filtered.records] == [
        'answered {"user": "***", "id": 3}',
        'answered {"user": "me", "id": 3}',
    ]


class TenantRecord(BraceRecord):
    """With more to it, for the program's own formatter."""

    __slots__ = ("tenant",)
    tenant: str

    def origin(self) -> str:
        return f"{self.tenant}/{self.name}"


def test_a_scrubbed_record_of_a_class_of_one_s_own_is_still_one_for_formatters(
    two_handlers: tuple[logging.Logger, Collecting, Collecting],
) -> None:
    """Also one with slots; in another process it is a plain one, as its class may not be there."""
    logger, filtered, _ = two_handlers
    register_secret("hunter2000")
    record = TenantRecord("shop", 20, "", 0, "user {} {{", ("hunter2000",), None)
    record.tenant = "north"
    logger.handle(record)
    (scrubbed,) = filtered.records
    assert isinstance(scrubbed, TenantRecord)
    assert (scrubbed.origin(), scrubbed.getMessage()) == ("north/shop", "user *** {")
    assert pickle.loads(pickle.dumps(scrubbed)).getMessage() == "user *** {"


def test_wrong_arguments_pass_the_filter(
    two_handlers: tuple[logging.Logger, Collecting, Collecting],
) -> None:
    """They are the formatter's to report; the filter doesn't raise into the caller."""
    logger, filtered, _ = two_handlers
    register_secret("hunter2000")
    logger.info("loaded %d rows", "hunter2000")
    assert "hunter2000" not in repr(filtered.records[0].__dict__)
