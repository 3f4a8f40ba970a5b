"""The transport under the API client: its time limits, and how its exceptions are told."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from sluice_tui.errors import ClientError, client_error


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds: until connected, between two signs of life, and the same where a heartbeat is promised.

    The second is longer than the service's bound on an answer, so that it can tell that itself.
    """

    connect: float = 10
    read: float = 200
    silence: float = 75


def no_certificates() -> ssl.SSLContext:
    """For a client that will never need one: loading the usual ones takes longer than a whole answer on this machine."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def translated(error: Exception, url: str, timeouts: Timeouts, correlation_id: str) -> ClientError:
    """What an exception of httpx means to the user, where `url` was asked."""
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return client_error("connect_timeout", url=url, seconds=timeouts.connect)
        case httpx.TimeoutException():
            return client_error("read_timeout", seconds=timeouts.read, correlation_id=correlation_id)
        case httpx.ConnectError() | httpx.ProxyError():
            return client_error(_connect_code(error), url=url)
        case httpx.DecodingError():
            return client_error("invalid_stream", correlation_id=correlation_id)
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return client_error("request_impossible", url=url)
    return client_error("connection_lost", correlation_id=correlation_id)


def _connect_code(error: Exception) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return "tls_failed"
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "unknown_host"
    return "connection_refused"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
