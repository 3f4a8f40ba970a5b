"""The page's files as they are served: who may have them, how long they are kept, what they may do, how large they are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import flask
import httpx
import pytest
from flask.testing import FlaskClient

from sluice_service.app import PACKAGED_PAGE, create_app
from sluice_service.settings import Settings
from tests.support.running_function import RunningFunction, running_function

LARGEST_BYTES = 40 * 1024
POLICY = {
    *("default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "img-src 'self'"),
    *("frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"),
    *("require-trusted-types-for 'script'", "trusted-types 'none'"),
}
NAMES = sorted(path.name for path in PACKAGED_PAGE.iterdir())
ADDRESSES = ["/" if name == "index.html" else f"/page/{name}" for name in NAMES]


@pytest.fixture(scope="module")
def function() -> Iterator[RunningFunction]:
    with running_function() as function:
        yield function


@pytest.fixture(scope="module")
def stranger(function: RunningFunction) -> Iterator[httpx.Client]:
    """Somebody without a key."""
    with httpx.Client(base_url=function.url) as stranger:
        yield stranger


@pytest.mark.parametrize("address", ADDRESSES)
def test_file_is_for_everybody_and_may_do_little(stranger: httpx.Client, address: str) -> None:
    reply = stranger.get(address)
    assert reply.status_code == 200
    assert set(reply.headers["content-security-policy"].split("; ")) == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["cache-control"] == "no-cache"
    assert {"x-request-id", "x-correlation-id"} <= reply.headers.keys()


@pytest.mark.parametrize("address", ["/", "/page/app.js"])
def test_file_that_the_browser_has_is_not_sent_again(stranger: httpx.Client, address: str) -> None:
    first = stranger.get(address)
    etag = first.headers["etag"]
    assert re.fullmatch('"[0-9a-f]{32}"', etag)
    again = stranger.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    changed = stranger.get(address, headers={"If-None-Match": '"another"'})
    assert (changed.status_code, changed.content) == (200, first.content)
    assert stranger.head(address).headers["content-length"] == str(len(first.content))


@pytest.mark.parametrize("address", ["/page/", "/page/nothing.js", "/page/../app.py", "/page/%2e%2e/app.py", "/index.html"])
def test_what_is_no_file_of_it_is_not_served(stranger: httpx.Client, address: str) -> None:
    assert stranger.get(address).status_code == 401


def test_page_is_small_and_names_only_its_own_files(stranger: httpx.Client) -> None:
    files = {address: stranger.get(address).text for address in ADDRESSES}
    assert sum(len(text.encode()) for text in files.values()) < LARGEST_BYTES
    named = {address: re.findall(r'(?:src|href|from|import)\s*=?\s*"([^"#]+)"', text) for address, text in files.items()}
    assert {name.rpartition("/")[2] for names in named.values() for name in names} == set(NAMES) - {"index.html"}
    assert not any("//" in name for names in named.values() for name in names)


@pytest.mark.parametrize("path", sorted(PACKAGED_PAGE.glob("*.js")), ids=lambda path: cast(Path, path).name)
def test_script_makes_no_markup_or_code_of_text(path: Path) -> None:
    written = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", written)


def test_page_has_nothing_inline() -> None:
    index = (PACKAGED_PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]* src=)", index)


def test_other_routes_want_a_key_as_before() -> None:
    app: flask.Flask = create_app(Settings()).app
    client: FlaskClient = app.test_client()
    open_to_all = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint in ("health", "openapi", "page")}
    assert open_to_all == {"/health", "/openapi.json", *ADDRESSES}
    assert client is not None
