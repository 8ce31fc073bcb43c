"""Settings of the Source stage: where each comes from, and which are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.errors import ConfigurationError, VariableNotFoundError
from spectra_logging.testing import FakeSourceSystem
from spectra_stage.source import RetryPolicy, SourceProfile, add_profile
from spectra_stage.source.projects import first_project_id
from tests.stages import (
    record_rows,
    run_stage,
    set_up,
    source,
)


@pytest.mark.parametrize(
    ("variable", "parameter", "asked"), [(None, 0, "1"), (None, 2, "2"), ("a/b", 2, "a%2Fb")]
)
def test_the_project_to_try_is_chosen(
    *,
    stage_root: Path,
    system: FakeSourceSystem,
    monkeypatch: pytest.MonkeyPatch,
    variable: str | None,
    parameter: int,
    asked: str,
) -> None:
    """TEST_PROJECT_ID, else the parameter, else the first listed; as one segment of the path."""
    if variable:
        monkeypatch.setenv("TEST_PROJECT_ID", variable)
    run_stage(parameters={"project": parameter})
    assert system.requests[1][1] == f"/release/project/{asked}"


@pytest.mark.parametrize(
    ("settings", "variables", "problem"),
    [
        ({"contract_version": "3"}, {}, "contract_version='3' must be three numbers"),
        ({"endpoint_success_rate": 2}, {}, "endpoint_success_rate=2 must be a number from 0 to 1"),
        ({"test_endpoint": "projects"}, {}, "test_endpoint='projects' must be a path"),
        ({"resource_endpoint_template": "/a"}, {}, "must have {projectId}"),
        ({"timeout": 0}, {}, "timeout=0 must be a number of seconds, more than 0"),
        ({"retry": 5}, {}, "retry=5 must be a RetryPolicy, such as RetryPolicy(retries=5)"),
        ({"auth_method": "oauth"}, {}, "auth_method='oauth' may be apiToken, bearer, basic"),
        ({"auth_method": "basic"}, {}, "needs a user: set API_USER"),
        ({"auth_header": "X Key"}, {}, "auth_header='X Key' can't be an HTTP header's name"),
        ({"auth_header": None}, {}, "auth_header=None can't be an HTTP header's name"),
        ({"auth_prefix": None}, {}, "auth_prefix=None must be text; '' is none"),
        ({"supports_incremental": "false"}, {}, "supports_incremental='false' must be True or"),
        ({}, {"BASE_URL": "api.example.com"}, "BASE_URL is 'api.example.com'; it must be"),
        ({}, {"BASE_URL": "https://u:pw@example.com"}, "BASE_URL holds a user or a password"),
        ({}, {"BASE_URL": "https://example.com/?key=lines"}, "BASE_URL or BASE_PATH has a query"),
        ({}, {"BASE_PATH": "api#lines"}, "BASE_URL or BASE_PATH has a query or a fragment"),
        ({}, {"API_TOKEN": "two\nlines"}, "API_TOKEN holds characters that no HTTP header"),
        ({"catalog": None}, {}, "no caller has a global variable ZEPHYR_ENDPOINTS_CATALOG"),
    ],
)
def test_a_setting_that_can_not_work_is_refused_before_any_table_is_touched(
    stage_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    variables: dict[str, str],
    problem: str,
) -> None:
    """The setting, its value and what it may be; the run is recorded as Failed, once."""
    set_up(monkeypatch, stage_root, **variables)
    with pytest.raises(ConfigurationError) as raised:
        run_stage(**settings)
    assert problem in str(raised.value)
    assert "lines" not in str(raised.value)
    assert not (stage_root / "Tables/source").exists()
    (row,) = record_rows(stage_root)
    assert (row["status"], row["level"]) == ("Failed", "ERROR")
    assert row["error_type"] == "ConfigurationError"


@pytest.mark.parametrize(
    ("option", "value", "may_be"),
    [
        ("retries", -1, "a whole number, 0 or more"),
        ("retries", 2.5, "a whole number, 0 or more"),
        ("retries", True, "a whole number, 0 or more"),
        ("backoff_seconds", -1, "a number of seconds, 0 or more"),
        ("longest_wait_seconds", float("inf"), "a number of seconds, 0 or more"),
    ],
)
def test_a_policy_of_retries_that_can_not_work_is_refused(
    option: str, value: float, may_be: str
) -> None:
    """The error says what the option may be, and not that 2.5 is less than 0."""
    with pytest.raises(ConfigurationError, match=rf"{option}={value} must be {may_be}"):
        RetryPolicy(**{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "project_id"),
    [
        ([{"id": 7}, {"id": 8}], "7"),
        ([{"key": "P1", "name": "One"}], "P1"),
        ([3, 4], "3"),
        (["a"], "a"),
        ({"results": [{"projectId": 5}]}, "5"),
        ({"total": 1, "values": [{"id": "x"}]}, "x"),
        ([], None),
        ({"results": []}, None),
        ({"authenticated": True}, None),
        ([{"name": "without an id"}], None),
        ([True], None),
        ([None], None),
        ("text", None),
        (None, None),
    ],
)
def test_the_first_project_is_found_in_what_the_source_answers(
    answer: Any, project_id: str | None
) -> None:
    """A list, or an object with a list under a usual name; a project by its id."""
    assert first_project_id(answer) == project_id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("results"), inner),
)


@given(JSON)
def test_any_answer_can_be_asked_for_a_project(answer: Any) -> None:
    """No JSON that a source system might answer raises, or gives what can't be part of a path."""
    project_id = first_project_id(answer)
    assert project_id is None or project_id


def test_missing_variables_are_named_together(
    stage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BASE_URL and API_TOKEN in one message."""
    monkeypatch.delenv("BASE_URL")
    monkeypatch.delenv("API_TOKEN")
    with pytest.raises(VariableNotFoundError, match="not set: BASE_URL, API_TOKEN"):
        run_stage()


def test_profiles_can_be_added_and_are_overridden(
    stage_root: Path, system: FakeSourceSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyword over variable over profile; a profile counts whatever the key's case."""
    monkeypatch.setenv("SOURCE_SYSTEM", "Testmanager")
    add_profile(
        "testmanager",
        SourceProfile(
            test_endpoint="/project/details",
            resource_endpoint_template="/testcase/project/{projectId}",
            supports_incremental=True,
        ),
    )
    run_stage()
    monkeypatch.setenv("RESOURCE_ENDPOINT_TEMPLATE", "/release/project/{projectId}")
    run_stage()
    run_stage(
        resource_endpoint_template="/testcase/project/{projectId}?limit=1",
        supports_incremental=False,
    )
    assert [path for _, path, _ in system.requests[1::2]] == [
        "/testcase/project/1",
        "/release/project/1",
        "/testcase/project/1?limit=1",
    ]
    assert not source(stage_root, "portfolio")[0]["supports_incremental"]
