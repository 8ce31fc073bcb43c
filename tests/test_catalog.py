"""Endpoint catalogues from each description there may be of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.errors import ConfigurationError
from spectra_stage.catalog import EndpointCatalog, load_catalog
from spectra_stage.catalog.load import CatalogSource
from spectra_stage.catalog.templates import PathTemplate
from spectra_stage.errors import CatalogError
from spectra_stage.source import execute_source_stage
from spectra_stage.tables import HTTP_METHODS, SOURCE_ENDPOINTS
from tests.stages import RECORD, describe

SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "basePath": "/rest",
    "security": [{"key": []}],
    "parameters": {"limit": {"name": "limit", "in": "query", "type": "integer"}},
    "paths": {
        "x-internal": {"get": {}},
        "/case/{id}": {
            "parameters": [{"name": "id", "in": "path"}, {"$ref": "#/parameters/limit"}],
            "get": {"summary": "One case", "tags": ["Cases", "All"]},
            "post": {"parameters": [{"name": "body", "in": "body"}], "security": []},
            "head": {},
        },
    },
}


def test_records_become_rows_as_they_are() -> None:
    """A record's ten fields are the row's ten columns."""
    catalog = load_catalog([RECORD])
    (row,) = catalog.rows()
    assert {**row, "query_parameters": [], "path_parameters": []} == RECORD
    assert list(row) == [column.name for column in SOURCE_ENDPOINTS.columns]


def test_a_catalogue_counts_its_endpoints_by_category() -> None:
    """In the categories' order."""
    other = {**RECORD, "full_path": "/a/{id}", "category": "a", "hierarchical": True}
    catalog = load_catalog([RECORD, other])
    assert len(catalog) == 2
    assert list(catalog.categories.items()) == [("a", 1), ("project", 1)]


@pytest.mark.parametrize("field", RECORD)
def test_a_record_that_lacks_a_field_is_named_with_its_position(field: str) -> None:
    """The position, the path and the field are in the message."""
    lacking = {name: value for name, value in RECORD.items() if name != field}
    with pytest.raises(CatalogError, match=rf"record 2 \(/project/details\): lacks {field}"):
        load_catalog([RECORD, lacking])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"http_method": "FETCH"}, "method 'FETCH' is none of GET, POST, PUT, DELETE, PATCH"),
        ({"http_method": 5}, "http_method is 5, not text"),
        ({"requires_auth": "yes"}, "requires_auth is 'yes', not true or false"),
        ({"query_parameters": "limit"}, "query_parameters is 'limit', not a list of texts"),
        ({"path_parameters": [1]}, "path_parameters is [1], not a list of texts"),
        ({"category": " "}, "category is empty"),
    ],
)
def test_a_record_with_a_wrong_value_is_named(change: dict[str, Any], problem: str) -> None:
    """The field, its value and what it may be are in the message."""
    with pytest.raises(CatalogError, match=re.escape(f"record 1 (/project/details): {problem}")):
        load_catalog([{**RECORD, **change}])


def test_every_problem_is_told_at_once() -> None:
    """One error has the problems of all records, in order."""
    with pytest.raises(CatalogError) as raised:
        load_catalog([{**RECORD, "http_method": "X"}, RECORD, 7])  # type: ignore[list-item]
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "record 1 (/project/details)",
        "record 3",
    ]


def test_fields_that_no_column_takes_are_left_alone() -> None:
    """A catalogue may hold more than the table does."""
    assert len(load_catalog([{**RECORD, "owner": "example"}])) == 1


def test_a_duplicate_is_named_and_dropped() -> None:
    """The first of two stays; path and method make them one, and a method's case no difference."""
    again = {**RECORD, "http_method": "get", "description": "Again"}
    catalog = load_catalog([RECORD, {**RECORD, "http_method": "POST"}, again])
    assert [endpoint.description for endpoint in catalog.endpoints] == ["All projects"] * 2
    assert catalog.duplicates == ("record 3: GET /project/details is record 1 already",)


def test_a_duplicate_is_refused_when_asked() -> None:
    """The error names it as well."""
    with pytest.raises(CatalogError, match="record 2: GET /project/details is record 1 already"):
        load_catalog([RECORD, RECORD], duplicates="refuse")
    with pytest.raises(ConfigurationError, match="duplicates='keep' may be drop or refuse"):
        load_catalog([RECORD], duplicates="keep")


def test_api_blueprint_rows_become_endpoints() -> None:
    """Title, path and query come out of the resource; an action's own path stands in its place."""
    catalog = load_catalog(
        [
            {
                "resource": "Cases [of one] [/case/{id}{?offset,limit*}]",
                "method": "get",
                "path": "",
            },
            {"resource": "Case [/case]", "method": "POST", "path": "/case?dry=1{&force}"},
        ]
    )
    first, second = catalog.endpoints
    assert first.endpoint_path == "/case/{id}"
    assert first.full_path == "/case/{id}{?offset,limit*}"
    assert (first.http_method, first.category, first.resource) == ("GET", "case", "Cases [of one]")
    assert (first.path_parameters, first.query_parameters) == (("id",), ("offset", "limit"))
    assert first.hierarchical
    assert first.requires_auth
    assert (second.endpoint_path, second.query_parameters) == ("/case", ("dry", "force"))
    assert not second.hierarchical


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"resource": "Case [/case]"}, "record 1 (Case [/case]): lacks method"),
        ({"method": "GET"}, "record 1: lacks resource"),
        ({"resource": "Case", "method": "GET"}, "resource 'Case' has no [/path]"),
        ({"resource": "Case [/case]", "method": "TRACE"}, "method 'TRACE' is none of"),
        ({"resource": "A [/a/{b]", "method": "GET"}, "has braces that don't pair"),
        ({"resource": "A", "method": "GET", "path": "a"}, "path 'a' does not begin with /"),
    ],
)
def test_an_api_blueprint_row_that_can_not_be_read_is_named(row: Any, problem: str) -> None:
    """With its position, and what is wrong with it."""
    with pytest.raises(CatalogError, match=re.escape(problem)):
        load_catalog([row])


def test_a_swagger_document_becomes_endpoints() -> None:
    """Parameters of the path item and by reference count; security goes by the operation first."""
    catalog = load_catalog(SWAGGER)
    get, post = catalog.endpoints
    assert get.full_path == "/case/{id}{?limit}"
    assert (get.category, get.description, get.resource) == ("Cases", "One case", "case")
    assert (get.path_parameters, get.query_parameters) == (("id",), ("limit",))
    assert (get.requires_auth, post.requires_auth) == (True, False)
    assert (post.http_method, post.category) == ("POST", "case")
    assert catalog.skipped == (
        "HEAD /case/{id}: the method is none of GET, POST, PUT, DELETE, PATCH",
    )


def test_references_of_a_bundled_document_are_followed() -> None:
    """Into paths and lists, and escaped as parts of a URI are."""
    users = {
        "parameters": [{"name": "id", "in": "path"}],
        "get": {"parameters": [{"name": "all", "in": "query"}, {"name": "by", "in": "query"}]},
    }
    pointers = ["#/paths/~1users~1%7Bid%7D/get/parameters/1", "#/a%20b"]
    document = {
        "openapi": "3.1.0",
        "a b": {"name": "of", "in": "query"},
        "paths": {
            "/users/{id}": users,
            "/teams": {"get": {"parameters": [{"$ref": pointer} for pointer in pointers]}},
        },
    }
    assert load_catalog(document).endpoints[1].query_parameters == ("by", "of")


@pytest.mark.parametrize(
    ("security", "requires"),
    [([], False), ([{}], False), ([{"a": []}], True), ([{"a": []}, {}], False), (None, True)],
)
def test_authentication_is_required_when_every_alternative_asks_for_it(
    security: Any, requires: bool
) -> None:
    """OpenAPI's rule: an empty requirement makes it optional; the document's stands for none."""
    operation = {} if security is None else {"security": security}
    document = {
        "openapi": "3.1.0",
        "security": [{"a": []}],
        "paths": {"/a": {"get": operation}},
    }
    assert load_catalog(document).endpoints[0].requires_auth is requires


def _with_get(operation: dict[str, Any]) -> dict[str, Any]:
    return {"swagger": "2.0", "tags": [{"name": "a"}], "paths": {"/a": {"get": operation}}}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"openapi": "4.0.0", "paths": {}}, "OpenAPI version 4.0.0 is none of 2.0, 3.0 and 3.1"),
        ({"openapi": "3.0.0"}, "the document has no object 'paths'"),
        ({"swagger": 2.0, "paths": {"/a": 1}}, "/a: 1 is no object"),
        ({"swagger": "2.0", "paths": {"/a": {"get": 1}}}, "/a: get is no object"),
        ({"swagger": "2.0", "paths": {"a": {"get": {}}}}, "GET a: path 'a' does not begin with /"),
        (
            {"swagger": "2.0", "paths": {"/a": {"$ref": "other.json#/a"}}},
            "/a: reference 'other.json#/a' leads out of the document",
        ),
        (
            {"swagger": "2.0", "paths": {"/a": {"$ref": "#/b~1c"}}, "b/c": {"$ref": "#/paths/~1a"}},
            "/a: references lead in a circle",
        ),
        (
            {"swagger": "2.0", "paths": {"/a": {"get": {"parameters": [{"$ref": "#/no"}]}}}},
            "GET /a: reference '#/no' leads nowhere",
        ),
        (_with_get({"parameters": [{"$ref": "#/tags/1"}]}), "reference '#/tags/1' leads nowhere"),
        (_with_get({"parameters": [{"$ref": "#/tags/-1"}]}), "reference '#/tags/-1' leads nowhere"),
        (
            _with_get({"parameters": [{"$ref": "#/swagger/0"}]}),
            "reference '#/swagger/0' leads nowhere",
        ),
        (_with_get({"parameters": True}), "GET /a: parameters is True, not a list"),
        (_with_get({"security": 5}), "GET /a: security is 5, not a list"),
        (_with_get({"tags": {"a": 1}}), "GET /a: tags is {'a': 1}, not a list"),
        (_with_get({"tags": "users"}), "GET /a: tags is 'users', not a list"),
        (
            _with_get({"parameters": [{"name": ["a", "b"], "in": "query"}]}),
            "GET /a: parameter ['a', 'b'] in 'query' is named by no text",
        ),
    ],
)
def test_an_openapi_document_that_can_not_be_read_is_named(document: Any, problem: str) -> None:
    """With the path and method, and what is wrong there."""
    with pytest.raises(CatalogError, match=re.escape(problem)):
        load_catalog(document)


@pytest.mark.parametrize("suffix", ["json", "yaml", "yml"])
@pytest.mark.parametrize("described", [[RECORD], SWAGGER], ids=["records", "swagger"])
def test_a_file_holds_what_could_be_passed(tmp_path: Path, suffix: str, described: Any) -> None:
    """JSON is YAML too, so one text serves."""
    file = tmp_path / f"catalog.{suffix}"
    file.write_text(json.dumps(described), encoding="utf-8")
    assert load_catalog(file).endpoints == load_catalog(described).endpoints
    assert load_catalog(str(file)) == load_catalog(file)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.json", "[", "is no JSON"),
        ("a.yaml", "[", "is no YAML"),
        ("a.yaml", "info: {version: 2024-13-01}", "is no YAML: month must be in 1..12"),
        ("a.json", '"text"', "neither a list of records nor an OpenAPI document"),
        ("a.json", "{}", "neither a list of records nor an OpenAPI document"),
    ],
)
def test_a_file_that_holds_something_else_is_named(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    """The path and the problem are in the message."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(CatalogError, match=problem) as raised:
        load_catalog(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what to name in its place."""
    with pytest.raises(ConfigurationError, match=r"no\.json can't be read.*name a JSON or YAML"):
        load_catalog(tmp_path / "no.json")


def test_a_catalogue_is_taken_as_it_is() -> None:
    """So that what was loaded once can be passed on."""
    catalog = EndpointCatalog(endpoints=())
    assert load_catalog(catalog) is catalog


def test_the_document_of_an_api_that_others_wrote_is_read_whole(httpbin: str) -> None:
    """The Swagger document of httpbin gives each operation that a row can hold, and no other."""
    document = describe(httpbin)
    catalog = load_catalog(document)
    operations = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    held = {(method, path) for method, path in operations if method in HTTP_METHODS}
    assert {(e.http_method, e.endpoint_path) for e in catalog.endpoints} == held
    assert len(catalog) == len(held) > 50
    assert len(catalog.skipped) == len(operations - held)
    assert all(e.hierarchical == ("{" in e.endpoint_path) for e in catalog.endpoints)


def test_a_query_that_is_written_out_makes_no_path_hierarchical() -> None:
    """Its variables are values of the query's parameters, and none of them is in the path."""
    (endpoint,) = load_catalog(
        [{"resource": "Case", "method": "GET", "path": "/case/{id}?size={n}&from={first}{&all}"}]
    ).endpoints
    assert endpoint.endpoint_path == "/case/{id}"
    assert endpoint.path_parameters == ("id",)
    assert endpoint.query_parameters == ("size", "from", "all")
    assert not PathTemplate.parse("/case?size={n}").path_parameters


NAMES = st.text(alphabet="abcXYZ09_", min_size=1, max_size=8)


def test_what_a_catalogue_may_be_made_of_can_be_looked_up_at_run_time() -> None:
    """As tools do that document or call a function by its annotations."""
    assert get_type_hints(execute_source_stage)["catalog"] == CatalogSource | None


@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=5), st.lists(NAMES))
def test_a_template_gives_back_the_names_it_was_made_of(
    segments: list[tuple[str, bool]], query: list[str]
) -> None:
    """Any path of fixed and variable segments, with any query behind it, comes apart again."""
    path = "".join(f"/{{{name}}}" if is_variable else f"/{name}" for name, is_variable in segments)
    template = PathTemplate.parse(path + (f"{{?{','.join(query)}}}" if query else ""))
    assert template.endpoint_path == path
    assert template.path_parameters == tuple(
        dict.fromkeys(name for name, is_variable in segments if is_variable)
    )
    assert template.query_parameters == tuple(dict.fromkeys(query))


@given(
    st.lists(
        st.tuples(st.sampled_from(["/a", "/a/{id}", "/b"]), st.sampled_from(["get", "GET", "PUT"]))
    )
)
def test_each_endpoint_is_there_once_and_each_other_is_told(named: list[tuple[str, str]]) -> None:
    """Whatever repeats: the first of each kind in their order, and one sentence for each other."""
    catalog = load_catalog([{**RECORD, "full_path": p, "http_method": m} for p, m in named])
    kinds = dict.fromkeys((path, method.upper()) for path, method in named)
    assert [endpoint.key for endpoint in catalog.endpoints] == list(kinds)
    assert len(catalog) + len(catalog.duplicates) == len(named)
