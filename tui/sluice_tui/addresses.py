"""Addresses of APIs: as people give them, and as requests need them. No I/O."""

from urllib.parse import urlsplit, urlunsplit

VERSION_PATH = "/v1"
"""Where OpenAI-compatible servers have their API, as a rule."""

_ROUTES = ("/chat/completions", "/models")


def base_url(url: str) -> str:
    """An address as a person gives it, as a base URL: a bare host gets the usual /v1, a route copied with it goes.

    Raises ValueError when it is not an http or https address.
    """
    parsed = urlsplit(url.strip())
    if parsed.scheme.lower() not in ("http", "https") or not parsed.hostname or not _is_host(parsed.netloc):
        raise ValueError("it must start with http:// or https:// and name a host")
    if "@" in parsed.netloc:
        raise ValueError("it must not hold a password; the key goes into SLUICE_API_KEY")
    _ = parsed.port  # a ValueError of its own
    path = parsed.path.rstrip("/")
    for route in _ROUTES:
        path = path.removesuffix(route)
    return urlunsplit((parsed.scheme.lower(), parsed.netloc, path or VERSION_PATH, "", ""))


def other_base_url(url: str) -> str:
    """Where the API may lie instead: without /v1 at its end if it has one, else with it."""
    return url.removesuffix(VERSION_PATH) if url.endswith(VERSION_PATH) else url + VERSION_PATH


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parsed = urlsplit(url)
    return urlunsplit((parsed.scheme, parsed.netloc, "", "", ""))


def needs_environment(url: str) -> bool:
    """Whether proxies and certificates from the environment count: on this machine without TLS neither has a part."""
    parsed = urlsplit(url)
    return parsed.scheme == "https" or parsed.hostname not in ("127.0.0.1", "::1", "localhost")


def _is_host(netloc: str) -> bool:
    return not any(character.isspace() or not character.isprintable() for character in netloc)
