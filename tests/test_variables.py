"""Variables come from Fabric's Variable Library, else from the environment."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from spectra_logging.errors import ConfigurationError, VariableNotFoundError
from spectra_logging.redaction import redact_text
from spectra_logging.testing import FakeNotebookUtils
from spectra_logging.variables import VariableLibrary

VAULT = "https://example.vault.azure.net/"


@pytest.fixture
def fabric() -> Iterator[None]:
    """Fabric with one Variable Library and one Key Vault."""
    variables = {
        "NAME": "from the library",
        "YES": True,
        "FORTY_TWO": 42,
        "BLANK": "",
        "API_TOKEN": "library-secret-9x",
        "VAULTED": f"{VAULT}secrets/the-token",
        "NOT_IN_VAULT": f"{VAULT}secrets/other",
    }
    with FakeNotebookUtils(
        variables={"example": variables}, secrets={VAULT: {"the-token": "vault-secret-7q"}}
    ):
        yield


@pytest.mark.usefixtures("fabric")
def test_the_library_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable in both places has the library's value; one outside it has the environment's."""
    monkeypatch.setenv("NAME", "from the environment")
    monkeypatch.setenv("ONLY_HERE", "from the environment")
    variables = VariableLibrary("example")
    assert variables.get("NAME") == "from the library"
    assert variables.get("ONLY_HERE") == "from the environment"
    assert variables.get("NOWHERE") is None
    default: str = variables.get("NOWHERE", "instead")
    assert default == "instead"


@pytest.mark.usefixtures("fabric")
def test_an_empty_value_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable in the library lets the environment answer."""
    variables = VariableLibrary("example")
    assert variables.get("BLANK", "instead") == "instead"
    monkeypatch.setenv("BLANK", "filled")
    assert variables.get("BLANK") == "filled"


@pytest.mark.usefixtures("fabric")
def test_blanks_around_a_value_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and copied values end in a line break, which a secret is not searched for with."""
    monkeypatch.setenv("ADDRESS", " https://example.com/a b\r\n")
    monkeypatch.setenv("SECRET", "environment-secret-5k\n")
    variables = VariableLibrary("example")
    assert variables.get("ADDRESS") == "https://example.com/a b"
    assert variables.get_secret("SECRET") == "environment-secret-5k"
    assert redact_text("sent environment-secret-5k") == "sent ***"


@pytest.mark.usefixtures("fabric")
def test_typed_values_of_the_library_read_like_text_from_the_environment() -> None:
    """Booleans and integers of the library come out alike through get and the typed getters."""
    variables = VariableLibrary("example")
    assert variables.get("YES") == "true"
    assert variables.get_bool("YES") is True
    assert variables.get("FORTY_TWO") == "42"
    assert variables.get_int("FORTY_TWO") == 42


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), (" Yes ", True), ("1", True), ("OFF", False), ("no", False), ("0", False)],
)
def test_booleans_are_read_from_the_usual_words(
    monkeypatch: pytest.MonkeyPatch, text: str, value: bool
) -> None:
    """The words people write for true and false are understood, in any case."""
    monkeypatch.setenv("FLAG", text)
    assert VariableLibrary("example").get_bool("FLAG") is value


def test_defaults_stand_in_for_what_is_not_set() -> None:
    """The typed getters return their default for a variable that is set nowhere."""
    variables = VariableLibrary("example")
    assert variables.get_bool("NOWHERE") is False
    assert variables.get_bool("NOWHERE", default=True) is True
    assert variables.get_int("NOWHERE", default=30) == 30


def test_a_bad_boolean_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which variable, what it holds and what it may hold."""
    monkeypatch.setenv("FLAG", "maybe")
    with pytest.raises(ConfigurationError, match=r"FLAG is 'maybe', expected one of true, 1,"):
        VariableLibrary("example").get_bool("FLAG")


def test_a_bad_number_is_named_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says which variable and what it holds; a secret's value is left out."""
    monkeypatch.setenv("TIMEOUT", "soon")
    monkeypatch.setenv("API_TOKEN", "s3cr3t-number")
    variables = VariableLibrary("example")
    with pytest.raises(ConfigurationError, match="TIMEOUT is 'soon', expected a whole number"):
        variables.get_int("TIMEOUT")
    with pytest.raises(ConfigurationError) as caught:
        variables.get_int("API_TOKEN")
    assert "s3cr3t-number" not in str(caught.value)


def test_one_error_names_all_variables_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Required variables are checked together, and the places searched are named."""
    monkeypatch.setenv("STAGE", "source")
    with pytest.raises(VariableNotFoundError) as caught:
        VariableLibrary("example").require("SOURCE_SYSTEM", "STAGE", "NOTEBOOK_NAME")
    message = str(caught.value)
    assert message.startswith("not set: SOURCE_SYSTEM, NOTEBOOK_NAME. ")
    assert "environment variables" in message
    assert "'example': not running in Fabric" in message


@pytest.mark.usefixtures("fabric")
def test_a_library_that_does_not_open_is_told_and_the_environment_serves(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong library name warns once, and the error of a missing variable repeats the reason."""
    monkeypatch.setenv("NAME", "from the environment")
    with caplog.at_level(logging.WARNING):
        variables = VariableLibrary("misspelt")
    assert "misspelt" in caplog.text
    assert variables.get("NAME") == "from the environment"
    with pytest.raises(
        VariableNotFoundError, match=r"'misspelt': could not be opened: .*not found"
    ):
        variables.require("NOWHERE")


@pytest.mark.parametrize("name", ["", "  ", None])
def test_a_library_needs_a_name(name: str) -> None:
    """An empty name is refused at construction."""
    with pytest.raises(ConfigurationError, match="must be the name of a Fabric Variable Library"):
        VariableLibrary(name)


@pytest.mark.usefixtures("fabric")
def test_a_secret_is_scrubbed_from_text_once_it_has_been_fetched() -> None:
    """get_secret registers the value, and the object's repr never shows it."""
    variables = VariableLibrary("example")
    assert variables.get_secret("API_TOKEN") == "library-secret-9x"
    assert "library-secret-9x" not in redact_text("we sent library-secret-9x")
    assert repr(variables) == "VariableLibrary('example')"


@pytest.mark.usefixtures("fabric")
def test_a_key_vault_address_is_resolved_and_its_secret_registered() -> None:
    """A variable that holds a secret's address in Key Vault gives the secret itself."""
    assert VariableLibrary("example").get_secret("VAULTED") == "vault-secret-7q"
    assert "vault-secret-7q" not in redact_text("we sent vault-secret-7q")


@pytest.mark.usefixtures("fabric")
def test_a_secret_that_key_vault_does_not_give_out_is_named() -> None:
    """The error names the variable, the vault and the secret's name."""
    with pytest.raises(
        VariableNotFoundError, match=r"NOT_IN_VAULT: Key Vault .*example.* did not give .*'other'"
    ):
        VariableLibrary("example").get_secret("NOT_IN_VAULT")


@pytest.mark.parametrize(
    "address",
    [
        "HTTPS://Example.Vault.Azure.NET/secrets/the-token",
        "https://example.vault.azure.net:443/secrets/the-token/",
    ],
)
@pytest.mark.usefixtures("fabric")
def test_a_key_vault_address_is_known_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Capitals and the port that goes without saying make it no other address."""
    monkeypatch.setenv("WRITTEN", address)
    assert VariableLibrary("example").get_secret("WRITTEN") == "vault-secret-7q"


@pytest.mark.parametrize(
    "path", ["secrets/the-token/ec96f02080254f109c51a1f14cdb1931", "keys/the-token", ""]
)
@pytest.mark.usefixtures("fabric")
def test_a_key_vault_address_of_another_form_is_not_taken_for_the_secret(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Azure's portal copies the address of one version, and Fabric fetches the newest alone."""
    monkeypatch.setenv("VERSIONED", VAULT + path)
    with pytest.raises(ConfigurationError, match=r"VERSIONED .* form .*/secrets/<name>") as raised:
        VariableLibrary("example").get_secret("VERSIONED")
    assert "leave the version out" in str(raised.value)


def test_a_key_vault_address_needs_fabric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside Fabric the error says to set the variable to the secret itself."""
    monkeypatch.setenv("VAULTED", f"{VAULT}secrets/the-token")
    with pytest.raises(ConfigurationError, match="Outside Fabric, set VAULTED to the secret"):
        VariableLibrary("example").get_secret("VAULTED")


def test_a_missing_secret_is_an_error_and_not_none() -> None:
    """A token that is set nowhere must not travel as the text None."""
    with pytest.raises(VariableNotFoundError, match="not set: NOWHERE"):
        VariableLibrary("example").get_secret("NOWHERE")
