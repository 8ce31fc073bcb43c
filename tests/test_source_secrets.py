"""The token: masked in its table, and nowhere else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.errors import ConfigurationError
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.source.authentication import masked
from tests.programs import free_port
from tests.stages import (
    record_rows,
    run_stage,
    set_up,
    source,
)


@pytest.mark.parametrize("token", ["abc4", "abcd5678", "abcdefgh9012", "abcdefgh-0123456789-wxyz"])
def test_a_token_is_masked_to_a_quarter_and_three_characters_at_most(
    stage_root: Path, system: FakeSourceSystem, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """Short tokens show less, so that what is shown never helps to guess the rest."""
    system.token = token
    monkeypatch.setenv("API_TOKEN", token)
    run_stage()
    (credentials,) = source(stage_root, "credentials")
    shown = credentials["credential_value"].removeprefix("***")
    assert token.endswith(shown)
    assert len(shown) == min(3, len(token) // 4)


@pytest.mark.parametrize("method", ["apiToken", "basic"])
@pytest.mark.parametrize("outcome", ["success", "refused", "down", "malformed"])
def test_the_token_is_nowhere(
    *,
    stage_root: Path,
    system: FakeSourceSystem,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    journals: Path,
    method: str,
    outcome: str,
) -> None:
    """Not in any file, log line at DEBUG or output, nor in an exception or what hangs on it."""
    import base64

    token = "s3cr3t-Token+with/odd=chars" + ("\nline" if outcome == "malformed" else "")
    caplog.set_level(logging.DEBUG)
    system.token = token if outcome == "success" and method == "apiToken" else "another"
    base_url = f"http://127.0.0.1:{free_port()}" if outcome == "down" else system.base_url
    set_up(monkeypatch, stage_root, API_TOKEN=token, API_USER="me", BASE_URL=base_url)
    error: BaseException | None = None
    try:
        run_stage(auth_method=method)
    except Exception as raised:  # noqa: BLE001 - whatever it is, it is looked through
        error = raised
    texts = [caplog.text, *map(repr, (vars(r) for r in caplog.records)), *capfd.readouterr()]
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        request = getattr(error, "request", None)
        texts.append(repr(request and dict(request.headers)))
        error = error.__cause__ or error.__context__
    for folder in (stage_root, journals):
        for file in folder.rglob("*"):
            if file.is_file():
                texts.append(file.read_bytes().decode("latin-1"))
    for name in ("config", "credentials", "endpoints", "portfolio"):
        if (stage_root / "Tables/source" / name).exists():
            texts.append(repr(source(stage_root, name)))
    texts.append(repr(record_rows(stage_root)))
    for form in (
        token,
        token.partition("\n")[0],
        base64.b64encode(f"me:{token}".encode()).decode(),
    ):
        assert not [text for text in texts if form in text]


@pytest.mark.parametrize("prefix", ["Tok\r\nX: y", "Bearer\N{EN DASH}", "Bearer\t"])
def test_a_prefix_that_no_header_can_carry_is_refused_without_the_token(
    stage_root: Path, system: FakeSourceSystem, prefix: str
) -> None:
    """Before it is sent: the HTTP client's own error has prefix and token in it."""
    with pytest.raises(ConfigurationError, match="auth_prefix holds characters") as raised:
        run_stage(auth_prefix=prefix)
    error: BaseException | None = raised.value
    while error is not None:
        assert system.token not in f"{error!r} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert system.requests == []


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_mask_shows_a_token_s_end_and_hardly_any_of_it(token: str) -> None:
    """Three characters at the most, a quarter at the most, and only from the end."""
    shown = masked(token).removeprefix("***")
    assert token.endswith(shown)
    assert len(shown) == min(3, len(token) // 4)
