"""`/openapi.json` is OpenAPI 3.1 and true: schemathesis calls every operation of the running function."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sluice_service.app import create_app
from sluice_service.settings import Settings
from sluice_service.web.openapi_document import document
from sluice_wire.errors import ERRORS
from tests.support.running_function import RunningFunction, running_function
from tests.support.simple_api import ask, complete, new_id, stored, ticket

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
EXAMPLES = 25
NAMES = [(path, method) for path, methods in document(2000)["paths"].items() for method in methods]


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFunction]:
    agents = tmp_path_factory.mktemp("agents") / "agents.toml"
    agents.write_text(
        '[[agents]]\nid = "guide"\nprovider = "demo"\nmodel = "demo"\n'
        'onboarding = [{key = "goal", question = "What would you like to achieve?"}]\n'
    )
    environment = {
        "AGENTS_FILE": str(agents),
        "DEMO_TOKENS_PER_SECOND": "100000",
        "DEMO_FIRST_TOKEN_MS": "0",
        "CONVERSATIONS": f"sqlite:///{Path(agents.parent, 'c.db')}",
    }
    with running_function(environment) as function:
        yield function


@pytest.fixture(scope="module")
def client(function: RunningFunction) -> Iterator[httpx.Client]:
    with function.client() as client:
        yield client


@pytest.fixture(scope="module")
def schema(function: RunningFunction) -> Any:
    return schemathesis.openapi.from_url(f"{function.url}/openapi.json")


@pytest.fixture
def known(client: httpx.Client) -> dict[str, list[str]]:
    """What there is to be named in addresses and bodies."""
    conversation_id = new_id()
    stream_id = ask(client, conversation_id=conversation_id).headers["x-stream-id"]
    return {
        "agent_id": ["demo", "guide"],
        "model": ["demo", "guide"],
        "conversation_id": [conversation_id],
        "stream_id": [stream_id],
        "message_id": [stored(client, conversation_id)[0]["id"]],
    }


def test_document_is_openapi_3_1(function: RunningFunction) -> None:
    reply = httpx.get(f"{function.url}/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(reply.json()).iter_errors()) == []


def test_every_route_is_described_and_no_other() -> None:
    app: flask.Flask = create_app(Settings()).app
    served = {
        (rule.rule.replace("<path:", "<").replace("<", "{").replace(">", "}"), method.lower())
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "page"
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert served - {("/openapi.json", "get")} == set(NAMES)


def test_every_error_that_can_be_a_status_is_described() -> None:
    text = json.dumps(document(2000))
    described = {code for code in ERRORS if f"`{code}`" in text}
    # The one only ever stands in a stream; the other is about a method that no operation has.
    assert set(ERRORS) - described == {"cancelled", "method_not_allowed"}


def test_ceiling_of_max_tokens_is_the_setting() -> None:
    assert document(77)["components"]["schemas"]["ChatRequest"]["properties"]["max_tokens"]["anyOf"][0]["maximum"] == 77


# Called with whatever it says it takes, now and then without a key, and with names of things that do exist.


@pytest.mark.parametrize(("path", "method"), NAMES, ids=[f"{method} {path}" for path, method in NAMES])
def test_operation_answers_as_it_is_described(
    schema: Any, client: httpx.Client, function: RunningFunction, known: dict[str, list[str]], path: str, method: str
) -> None:
    operation = schema[path][method]
    statuses: Counter[int] = Counter()

    @given(case=operation.as_strategy(), choose=st.data(), authorized=st.sampled_from((True, True, True, True, False)))
    @settings(
        max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None
    )
    def call(case: Any, choose: st.DataObject, authorized: bool) -> None:
        for given_values in (case.path_parameters, case.body, case.query):
            if isinstance(given_values, dict):
                for name in known.keys() & given_values.keys():
                    given_values[name] = choose.draw(st.sampled_from(known[name]) | st.just(given_values[name]))
        if operation.definition.raw["security"] == [{"ticket": []}] and authorized:
            case.query = {**(case.query or {}), "token": ticket(client, path)}
        case.headers["Authorization"] = f"Bearer {function.key if authorized else 'nobody'}"
        response = case.call(base_url=function.url)
        statuses[response.status_code] += 1
        case.validate_response(response, checks=CHECKS)

    call()
    assert any(status < 300 for status in statuses), "nothing that it describes for a good request was seen"


def test_plain_answers_are_as_they_are_described(schema: Any, client: httpx.Client) -> None:
    """With an agent that asks, and so with everything that an answer can carry."""
    replies = {
        ("/chat", "POST"): ask(client, stream=False, model="guide"),
        ("/v1/chat/completions", "POST"): complete(client, model="guide", store=True),
    }
    for (path, method), reply in replies.items():
        assert reply.status_code == 200
        schema[path][method].validate_response(reply)
