"""OneLake is reached with Fabric's own token, which is renewed in time and never shown."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator

import pytest

from spectra_logging.errors import TableForbiddenError, TableUnavailableError
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.storage import StorageAccess
from spectra_logging.onelake import (
    ASK_AGAIN_SECONDS,
    RENEW_BEFORE_SECONDS,
    UNREADABLE_LIFETIME_SECONDS,
    StorageToken,
    is_onelake,
)
from spectra_logging.redaction import redact_text
from spectra_logging.testing import FakeNotebookUtils, storage_token
from tests.handlers import attach
from tests.lakehouses import lines, spec_of, transaction
from tests.programs import wait_until
from tests.stores import Azurite, missing_for

WORKSPACE = "11111111-1111-1111-1111-111111111111"
LAKEHOUSE = "22222222-2222-2222-2222-222222222222"
ROOT = f"abfss://{WORKSPACE}@onelake.dfs.fabric.microsoft.com/{LAKEHOUSE}"
SMALL = spec_of(("n", "long", False), ("text", "string", True))


class Clock:
    """The time that tokens are kept by."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import time

        self.now = time.time()
        monkeypatch.setattr("spectra_logging.onelake.time.time", lambda: self.now)


class Tokens:
    """Gives out a new token each time it is asked, and remembers them."""

    def __init__(self, make: Callable[[int], str]) -> None:
        self.given: list[str] = []
        self._make = make

    def __call__(self) -> str:
        self.given.append(self._make(len(self.given)))
        return self.given[-1]


def lasting(seconds: float) -> Tokens:
    return Tokens(lambda number: storage_token(seconds, jti=str(number)))


@pytest.mark.parametrize(
    ("table", "there"),
    [
        (f"{ROOT}/Tables/log/events", True),
        ("abfss://workspace@onelake.dfs.fabric.microsoft.com/lake.Lakehouse/Tables/t", True),
        ("abfss://w@westeurope-onelake.dfs.fabric.microsoft.com/l/Tables/t", True),
        ("https://onelake.blob.fabric.microsoft.com/w/l/Tables/t", True),
        ("abfss://container@account.dfs.core.windows.net/Tables/t", False),
        ("s3://onelake.dfs.fabric.microsoft.com/t", False),
        ("abfss://onelake.dfs.fabric.microsoft.com@account.dfs.core.windows.net/t", False),
        ("/lakehouse/default/Tables/t", False),
    ],
)
def test_onelake_is_known_by_its_address(table: str, there: bool) -> None:
    """No token is ever sent to another host."""
    assert is_onelake(table) is there


class TestToken:
    def test_is_asked_for_once_while_it_is_good(self) -> None:
        """Fabric is asked once, and not for each commit."""
        tokens = lasting(3600)
        with FakeNotebookUtils(tokens={"storage": tokens}):
            kept = StorageToken()
            assert [kept.get() for _ in range(3)] == [tokens.given[0]] * 3
        assert len(tokens.given) == 1

    def test_is_renewed_before_its_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By its own claim `exp`, some minutes before."""
        clock, tokens = Clock(monkeypatch), lasting(3600)
        with FakeNotebookUtils(tokens={"storage": tokens}):
            kept = StorageToken()
            first = kept.get()
            clock.now += 3600 - RENEW_BEFORE_SECONDS - 5
            assert kept.get() == first
            clock.now += 10
            assert kept.get() == tokens.given[1] != first

    def test_that_does_not_say_when_it_ends_is_renewed_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a time that is shorter than Entra's shortest."""
        clock, tokens = Clock(monkeypatch), Tokens(lambda number: f"opaque-token-{number}")
        with FakeNotebookUtils(tokens={"storage": tokens}):
            kept = StorageToken()
            kept.get()
            clock.now += UNREADABLE_LIFETIME_SECONDS - RENEW_BEFORE_SECONDS - 5
            assert kept.get() == "opaque-token-0"
            clock.now += 10
            assert kept.get() == "opaque-token-1"

    def test_that_fabric_gives_out_again_is_not_asked_for_at_every_commit(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Fabric keeps tokens as well: close to the end it may have no newer one yet."""
        clock = Clock(monkeypatch)
        tokens = Tokens(lambda _: same)
        same = storage_token(RENEW_BEFORE_SECONDS / 2)
        with FakeNotebookUtils(tokens={"storage": tokens}):
            kept = StorageToken()
            for _ in range(10):
                assert kept.get() == same
                clock.now += ASK_AGAIN_SECONDS / 5
        assert len(tokens.given) == 2

    def test_serves_while_good_when_fabric_gives_no_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A token service that fails for a moment fails no commit; after the end it does."""
        clock = Clock(monkeypatch)
        first = storage_token(3600)

        def give() -> str:
            if give.asked:  # type: ignore[attr-defined]
                raise RuntimeError(f"token service is down for {first}")
            give.asked = True  # type: ignore[attr-defined]
            return first

        give.asked = False  # type: ignore[attr-defined]
        with FakeNotebookUtils(tokens={"storage": give}):
            kept = StorageToken()
            kept.get()
            clock.now += 3600 - RENEW_BEFORE_SECONDS + 1
            assert kept.get() == first
            clock.now += RENEW_BEFORE_SECONDS
            with pytest.raises(TableUnavailableError, match="token service is down") as caught:
                kept.get()
        assert first not in str(caught.value)

    def test_is_hidden_and_so_is_the_one_before(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Both are secrets; older ones are forgotten, else each would slow every log call down."""
        clock, tokens = Clock(monkeypatch), lasting(600)
        with FakeNotebookUtils(tokens={"storage": tokens}):
            kept = StorageToken()
            for _ in range(4):
                kept.get()
                clock.now += 600
        hidden = [redact_text(f"sent {token}") == "sent ***" for token in tokens.given]
        assert hidden == [False, False, True, True]

    def test_is_none_outside_fabric(self) -> None:
        """Then delta-rs finds its own way, by the environment or an identity of the machine."""
        assert StorageToken().get() is None

    def test_is_asked_for_by_one_thread_of_many(self) -> None:
        """Threads that need it at once share one."""
        tokens = lasting(3600)
        with FakeNotebookUtils(tokens={"storage": tokens}):
            kept = StorageToken()
            threads = [threading.Thread(target=kept.get) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(tokens.given) == 1


class TestOptions:
    def test_name_the_token_for_onelake_alone(self) -> None:
        """Other stores never see it, and what the user says besides stands."""
        with FakeNotebookUtils(tokens={"storage": "a-token-of-fabrics"}):
            access = StorageAccess({"timeout": "20s"}, StorageToken())
            assert access.options("s3://bucket/t") == {"timeout": "20s"}
            assert access.options(f"{ROOT}/Tables/t") == {
                "timeout": "20s",
                "use_fabric_endpoint": "true",
                "bearer_token": "a-token-of-fabrics",
            }

    @pytest.mark.parametrize(
        "name", ["bearer_token", "azure_storage_token", "AZURE_CLIENT_ID", "sas_token"]
    )
    def test_that_name_a_credential_are_left_as_they_are(self, name: str) -> None:
        """Whoever brings a credential of their own means it."""
        with FakeNotebookUtils(tokens={"storage": "a-token-of-fabrics"}):
            access = StorageAccess({name: "mine"}, StorageToken())
            assert access.options(f"{ROOT}/Tables/t") == {name: "mine"}


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A store where OneLake's account is, which lets no expired token in."""
    if reason := missing_for("azure"):
        pytest.skip(reason)
    with Azurite(tmp_path_factory.mktemp("azurite")).running() as azurite:
        azurite.create_container(WORKSPACE)
        yield azurite


@pytest.fixture
def onelake(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> Azurite:
    for name, value in azurite.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("spectra_logging.onelake.shared_token", StorageToken())
    return azurite


def is_refused(table: str, token: str) -> bool:
    """Whether the store lets a token in no more."""
    try:
        open_lakehouse(storage_options={"bearer_token": token}).version(table)
    except TableForbiddenError:
        return True
    return False


@pytest.mark.usefixtures("onelake")
class TestStore:
    def test_takes_rows_with_nothing_but_the_tables_address(self, logger: logging.Logger) -> None:
        """In a notebook no storage option is needed: the token is Fabric's."""
        table = f"{ROOT}/Tables/log/events"
        with FakeNotebookUtils(tokens={"storage": lasting(3600)}):
            handler = attach(logger, table)
            logger.info("reached")
            assert handler.flush(timeout_seconds=60), handler.stats()
            found = open_lakehouse().query("SELECT event FROM t", {"t": table})
            logger.removeHandler(handler)
            handler.close()
        assert found.rows == (("reached",),)

    def test_sees_the_renewed_token(self) -> None:
        """Once it lets the first one in no more, the same engine still reads and writes."""
        table = f"{ROOT}/Tables/log/renewed"
        tokens = Tokens(lambda number: storage_token(3600 if number else 2))
        with FakeNotebookUtils(tokens={"storage": tokens}):
            lakehouse = open_lakehouse()
            lakehouse.ensure(table, SMALL)
            wait_until(lambda: is_refused(table, tokens.given[0]))
            for number in range(8):
                rows = lines({"n": number})
                lakehouse.append(table, rows, SMALL, transaction=transaction(number))
            assert lakehouse.upkeep(table).compacted_files == 8
            found = lakehouse.query("SELECT count(*) FROM t", {"t": table}, versions={"t": 8})
        assert found.rows == ((8,),)
        assert len(tokens.given) == 2

    def test_that_refuses_a_token_is_asked_again_with_a_new_one(self) -> None:
        """A token that says it is good and is not costs one refusal."""
        table = f"{ROOT}/Tables/log/refused"
        audiences = ["https://example.com", "https://storage.azure.com"]
        tokens = Tokens(lambda number: storage_token(3600, aud=audiences[min(number, 1)]))
        with FakeNotebookUtils(tokens={"storage": tokens}):
            assert open_lakehouse().exists(table) is False
        assert len(tokens.given) == 2

    def test_that_goes_on_refusing_is_forbidden(self) -> None:
        """Asked with two tokens and no more; neither stands in the error."""
        tokens = Tokens(lambda number: storage_token(3600, aud="https://example.com", n=number))
        with (
            FakeNotebookUtils(tokens={"storage": tokens}),
            pytest.raises(TableForbiddenError, match="the store denies access") as caught,
        ):
            open_lakehouse().schema(f"{ROOT}/Tables/log/forbidden")
        assert len(tokens.given) == 2
        assert not any(token in str(caught.value) for token in tokens.given)

    def test_is_reached_after_the_token_service_comes_back(
        self, logger: logging.Logger, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Records wait in the journal meanwhile, and a warning says for what."""
        table = f"{ROOT}/Tables/log/later"
        down = threading.Event()
        down.set()

        def give() -> str:
            if down.is_set():
                raise RuntimeError("token service is down")
            return storage_token(3600)

        with FakeNotebookUtils(tokens={"storage": give}):
            handler = attach(logger, table)
            logger.info("kept")
            assert not handler.flush(timeout_seconds=1)
            assert "no token for OneLake" in caplog.text
            down.clear()
            assert handler.flush(timeout_seconds=60), handler.stats()
            logger.removeHandler(handler)
            handler.close()


def test_a_wrong_key_is_refused_and_shown_to_nobody(onelake: Azurite) -> None:
    """Refused is told from missing, and the key stands in no message."""
    store = onelake.store(WORKSPACE, "folder")
    wrong = {**store.options, "account_key": "d3Jvbmcga2V5LCBsb25nIGVub3VnaCB0byBsb29r"}
    with pytest.raises(TableForbiddenError, match="the store denies access") as caught:
        open_lakehouse(storage_options=wrong).version(f"{store.root}/table")
    assert "d3Jvbmcga2V5" not in str(caught.value)


def test_a_lakehouse_may_be_called_by_its_names(onelake: Azurite) -> None:
    """Workspace and lakehouse by name, with a blank, as Fabric's own addresses have them."""
    onelake.create_container("workspace")
    table = "abfss://workspace@onelake.dfs.fabric.microsoft.com/my lake.Lakehouse/Tables/log/t"
    with FakeNotebookUtils(tokens={"storage": lasting(3600)}):
        lakehouse = open_lakehouse()
        lakehouse.ensure(table, SMALL)
        lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        assert lakehouse.query("SELECT n FROM t", {"t": table}).rows == ((1,),)
