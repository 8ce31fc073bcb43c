"""The fake Discord speaks the documented protocol: what the tests of Discord rest on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from spectra_logging.testing import DiscordAnswer, FakeDiscord


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """A running Discord."""
    with FakeDiscord() as discord:
        yield discord


def post(
    discord: FakeDiscord, payload: Any, query: str = "?wait=true", **options: Any
) -> requests.Response:
    """POST a message to the webhook."""
    url = f"{discord.api_base_url}/webhooks/{discord.webhook_id}/{discord.token}{query}"
    options.setdefault("json", payload)
    headers = {"User-Agent": "DiscordBot (https://example.com, 1)"}
    with requests.Session() as http:
        return http.post(url, headers=headers, timeout=10, allow_redirects=False, **options)


def test_a_message_is_kept_and_answered_with_its_id(discord: FakeDiscord) -> None:
    """With wait=true the message comes back; without, 204 has no body."""
    answer = post(discord, {"content": "hello"})
    assert (answer.status_code, answer.json()["content"]) == (200, "hello")
    assert answer.json()["id"].isdecimal()
    quiet = post(discord, {"content": "again"}, query="")
    assert (quiet.status_code, quiet.content) == (204, b"")
    assert [message.payload["content"] for message in discord.messages] == ["hello", "again"]


REFUSED: dict[str, tuple[Any, int, str]] = {
    "nothing": ({}, 50006, ""),
    "white space": ({"content": " \n"}, 50006, ""),
    "long content": ({"content": "x" * 2001}, 50035, "content"),
    "eleven embeds": ({"embeds": [{"title": "x"}] * 11}, 50035, "embeds"),
    "long title": ({"embeds": [{"title": "x" * 257}]}, 50035, "title"),
    "long description": ({"embeds": [{"description": "x" * 4097}]}, 50035, "description"),
    "many fields": (
        {"embeds": [{"fields": [{"name": "n", "value": "v"}] * 26}]},
        50035,
        "fields",
    ),
    "long name": ({"embeds": [{"fields": [{"name": "n" * 257, "value": "v"}]}]}, 50035, "name"),
    "long value": ({"embeds": [{"fields": [{"name": "n", "value": "v" * 1025}]}]}, 50035, "value"),
    "empty value": ({"embeds": [{"fields": [{"name": "n", "value": " "}]}]}, 50035, "value"),
    "long footer": ({"embeds": [{"footer": {"text": "x" * 2049}}]}, 50035, "footer"),
    "long author": ({"embeds": [{"author": {"name": "x" * 257}}]}, 50035, "author"),
    "long sum": ({"embeds": [{"description": "x" * 700}] * 9}, 50035, "embeds"),
    "colour": ({"embeds": [{"title": "x", "color": 1 << 24}]}, 50035, "color"),
    "time": ({"embeds": [{"title": "x", "timestamp": "now"}]}, 50035, "timestamp"),
    "username": ({"content": "x", "username": "My Discord"}, 50035, "username"),
    "long username": ({"content": "x", "username": "x" * 81}, 50035, "username"),
    "embeds of another kind": ({"embeds": {"title": "x"}}, 50035, "embeds"),
    "embed of another kind": ({"embeds": ["x"]}, 50035, "embeds"),
    "fields of another kind": ({"embeds": [{"title": "x", "fields": {}}]}, 50035, "fields"),
    "field of another kind": ({"embeds": [{"title": "x", "fields": ["n"]}]}, 50035, "fields"),
    "field without a value": ({"embeds": [{"fields": [{"name": "n"}]}]}, 50035, "value"),
    "footer of another kind": ({"embeds": [{"title": "x", "footer": "f"}]}, 50035, "footer"),
    "author of another kind": ({"embeds": [{"title": "x", "author": []}]}, 50035, "author"),
    "username of another kind": ({"content": "x", "username": 5}, 50035, "username"),
    "flags": ({"content": "x", "flags": 1}, 50035, "flags"),
    "flags of another kind": ({"content": "x", "flags": [4]}, 50035, "flags"),
    "mentions of another kind": ({"content": "x", "allowed_mentions": []}, 50035, "allowed_men"),
    "parse of another kind": ({"content": "x", "allowed_mentions": {"parse": 5}}, 50035, "parse"),
    "files of another kind": ({"content": "x", "attachments": {}}, 50035, "attachments"),
    "file of another kind": ({"content": "x", "attachments": ["a"]}, 50035, "attachments"),
    "unknown key": ({"content": "x", "embed": {}}, 50035, "embed"),
    "half a character": ({"content": "\ud800"}, 50035, "content"),
    "mentions": (
        {"content": "x", "allowed_mentions": {"parse": ["roles"], "roles": ["1"]}},
        50035,
        "allowed_mentions",
    ),
    "no file": ({"content": "x", "attachments": [{"id": 0, "filename": "a"}]}, 50035, "id"),
    "no object": ([], 50109, ""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_discord_refuses_is_refused_with_its_code(discord: FakeDiscord, case: str) -> None:
    """Each documented limit, and the tree of errors that names the place."""
    payload, code, place = REFUSED[case]
    answer = post(discord, payload)
    assert answer.status_code == 400
    assert answer.json()["code"] == code
    assert place in json.dumps(answer.json().get("errors", {}))
    assert discord.messages == []


def test_exactly_the_limits_are_taken(discord: FakeDiscord) -> None:
    """Lengths count code points: 2,000 emoji are content of the full length."""
    fields = [{"name": "n" * 256, "value": "v" * 1024}]
    payload = {
        "content": "\N{GRINNING FACE}" * 2000,
        "embeds": [{"title": "t" * 256, "description": "d" * 4096, "fields": fields}],
    }
    assert post(discord, payload).status_code == 200


def test_files_come_with_the_message(discord: FakeDiscord) -> None:
    """Multipart, with the message as payload_json."""
    payload = {"content": "x", "attachments": [{"id": 0, "filename": "a.txt"}]}
    files = {
        "payload_json": (None, json.dumps(payload)),
        "files[0]": ("a.txt", b"line\r\n--not the boundary\r\n\r\nend"),
    }
    assert post(discord, None, json=None, files=files).status_code == 200
    assert discord.messages[0].files == (("a.txt", b"line\r\n--not the boundary\r\n\r\nend"),)
    large = {**files, "files[0]": ("a.txt", b"x" * ((10 << 20) + 1))}
    answer = post(discord, None, json=None, files=large)
    assert (answer.status_code, answer.json()["code"]) == (413, 40005)


def test_the_rate_limit_is_told_and_kept() -> None:
    """Headers count down; beyond them 429 tells how long to wait, in header and body."""
    with FakeDiscord(requests_per_window=2, window_seconds=60) as discord:
        answers = [post(discord, {"content": "x"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        remaining = [answer.headers["X-RateLimit-Remaining"] for answer in answers]
        assert remaining == ["1", "0", "0"]
        wait = answers[2].json()["retry_after"]
        assert 0 < wait <= 60
        assert int(answers[2].headers["Retry-After"]) >= wait
        assert len(discord.messages) == 2


def test_a_wrong_token_and_an_unknown_webhook_have_their_codes(discord: FakeDiscord) -> None:
    """401 and 404 are told apart, and paths of other versions are none."""
    base, own = discord.api_base_url, discord.webhook_id
    for path, status, code in (
        (f"/webhooks/{own}/wrong", 401, 50027),
        (f"/webhooks/2/{discord.token}", 404, 10015),
        (f"/webhooks/{own}/{discord.token}/slack", 404, 0),
    ):
        answer = requests.post(base + path, json={"content": "x"}, timeout=10)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    old = base.replace("v10", "v6") + f"/webhooks/{own}/{discord.token}"
    assert requests.post(old, json={"content": "x"}, timeout=10).status_code == 400
    assert discord.token not in repr(discord.requests)


def test_a_forum_wants_exactly_one_thread() -> None:
    """thread_id in the query, or thread_name in the body."""
    with FakeDiscord(is_forum=True) as discord:
        assert post(discord, {"content": "x"}).json()["code"] == 220001
        assert post(discord, {"content": "x"}, "?wait=true&thread_id=1").status_code == 200
        assert post(discord, {"content": "x", "thread_name": "new"}).status_code == 200


def test_scripted_answers_come_first_and_once(discord: FakeDiscord) -> None:
    """Redirects, bans and resets, in the order they were scripted in."""
    discord.first_answers += [
        DiscordAnswer.redirect(307, "https://example.com/"),
        DiscordAnswer.edge_ban(),
        DiscordAnswer.reset(),
    ]
    redirect = post(discord, {"content": "x"})
    assert (redirect.status_code, redirect.headers["Location"]) == (307, "https://example.com/")
    assert post(discord, {"content": "x"}).status_code == 429
    with pytest.raises(requests.exceptions.ConnectionError):
        post(discord, {"content": "x"})
    assert post(discord, {"content": "x"}).status_code == 200
    assert [request.status for request in discord.requests] == [307, 429, None, 200]


def test_a_request_that_hangs_is_let_go_with_the_server(discord: FakeDiscord) -> None:
    """A client that gives up ends its request, and stop() waits for nobody."""
    discord.first_answers.append(DiscordAnswer.hang())
    with pytest.raises(requests.exceptions.ReadTimeout), requests.Session() as http:
        http.post(f"{discord.api_base_url}/webhooks/1/x", json={"content": "x"}, timeout=0.2)
    assert discord.messages == []
