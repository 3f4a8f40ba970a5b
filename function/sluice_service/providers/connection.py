"""One HTTP/1.1 connection to upstream, which hands on what it reads in the same call that reads it.

Source: RFC 9112. A body that is awaited piece by piece costs a future, a task's step and a chain of generators for each
piece; pushed, it costs a function call. Parsed by httptools (llhttp).
"""

import asyncio
import ssl
from collections.abc import Callable
from contextvars import copy_context
from typing import TypeAlias, cast

import httptools

MAX_BODYLESS_BYTES = 64 * 1024
"""How much may come without any body in it: heads, trailers, the sizes of chunks."""

MANY_BYTES = 64 * 1024
"""After reading so much at once others have a turn: the loop would go on as long as a fast server fills its buffer."""

Sink: TypeAlias = Callable[[bytes], bool]
"""Takes some of a body; True when it wants no more."""


class LostConnection(Exception):
    """There is no connection, it broke, ended too early, or carries something else than HTTP/1.1."""


class Unanswered(LostConnection):
    """It ended before anything of the reply came."""


class Connection(asyncio.Protocol):
    """Sends one request after another. `closed` when it can send no more."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._held = False
        self._reply: Reply | None = None
        self._lost = asyncio.get_running_loop().create_future()

    def ask(self, request: bytes) -> "Reply":
        """Send a request; what comes of it. The reply before must have been read to its end."""
        self._reply = Reply(self)
        if self._transport is None or self.closed:
            self._reply.lose(None)
        else:
            self._transport.write(request)
        return self._reply

    def rest(self) -> None:
        """Expect nothing any more, until asked again; a reply that nobody took may have paused it."""
        self._reply = None
        self.resume()

    async def start_tls(self, tls: ssl.SSLContext, host: str) -> "Connection":
        """Speak TLS with the host that this has become a tunnel to, once the head of the reply that says so is there.

        Only what is returned is of use then. Raises OSError, also for a wrong certificate, and LostConnection.
        """
        if self.closed or self._transport is None or self._reply is None or self._reply.has_body:
            raise LostConnection("bytes, or the end, came through the tunnel before they were asked for")
        inner = Connection()
        transport = await asyncio.get_running_loop().start_tls(self._transport, inner, tls, server_hostname=host)
        if transport is None:
            raise LostConnection("the tunnel was closed")
        inner.connection_made(transport)
        return inner

    def abort(self) -> None:
        """Close at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    async def aclose(self) -> None:
        """Close at once, and wait until it is."""
        self.abort()
        await asyncio.shield(self._lost)

    def pause(self) -> None:
        """Leave further bytes to the kernel."""
        self._held = True
        if self._transport is not None and not self.closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._held = False
        self._read_on()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol. What nobody has asked for ends the connection."""
        reply = self._reply
        # The transport's context is that of the call which opened the connection.
        if reply is None or not reply.context.run(reply.feed, data):
            self.abort()
        elif len(data) >= MANY_BYTES and self._transport is not None and not self._held:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._read_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.closed = True
        self._lost.set_result(None)
        if self._reply is not None:
            self._reply.lose(exc)

    def _read_on(self) -> None:
        if self._transport is not None and not (self.closed or self._held):
            self._transport.resume_reading()


class Reply:
    """What comes back for one request: `status` and `headers` (lower-case names) after `head`, then the body."""

    def __init__(self, connection: Connection) -> None:
        self.context = copy_context()
        """Whose request it answers: what takes the body runs in it."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.reusable = False
        """Whether it has been read to its end, and its connection serves another request."""
        self._connection = connection
        self._parser = httptools.HttpResponseParser(self)
        self._heard = False
        self._bodyless_bytes = 0
        self._pieces: list[bytes] = []
        self._sink: Sink | None = None
        self._ended = False
        self._complete = False  # ended, and what takes the body has not failed on the last of it
        self._failure: Exception | None = None
        self._news = asyncio.get_running_loop().create_future()

    @property
    def has_body(self) -> bool:
        """Whether some of the body waits to be pushed on."""
        return bool(self._pieces)

    async def head(self) -> None:
        """Wait for the status and the headers. Raises LostConnection."""
        while not (self.status or self._failure):
            await self._wait()
        if not self.status and self._failure:
            raise self._failure

    async def push_to(self, sink: Sink) -> None:
        """Hand the body on as it arrives, until it ends or the sink wants no more. Raises LostConnection."""
        self._sink = sink
        if self._pieces:
            self._push()
        self._connection.resume()
        while self._sink is not None and not self._complete:
            if self._failure:
                raise self._failure
            await self._wait()
        self._sink = None

    def feed(self, data: bytes) -> bool:
        """Some bytes have come; whether they made sense."""
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(LostConnection(f"not HTTP/1.1: {error}"))
        if self._pieces:
            self._bodyless_bytes = 0
            self._push()
        else:
            self._bodyless_bytes += len(data)
            if self._bodyless_bytes > MAX_BODYLESS_BYTES:
                self._fail(LostConnection(f"more than {MAX_BODYLESS_BYTES} bytes without a body"))
        if self._ended:
            self._complete = True
            self._tell()
        return self._failure is None

    def lose(self, error: Exception | None) -> None:
        """The connection is gone; where no length was told this is the end of the body."""
        if self._complete:
            return
        if error is None and self.status and not {"content-length", "transfer-encoding"} & self.headers.keys():
            self._complete = True
            self._tell()
        elif error is None or isinstance(error, OSError):
            kind = LostConnection if self._heard else Unanswered
            self._fail(kind(f"the connection was lost: {error or 'closed by the server'}"))
        else:
            self._fail(error)  # our own: what took the body has failed, not the connection

    def on_message_begin(self) -> None:
        """Called by the parser; what follows a reply that has ended belongs to no request, and is no part of it."""
        if self._ended:
            raise LostConnection("bytes after the reply")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser; trailers are of no use here."""
        if not self.status:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser; the head of an interim reply (1xx) is forgotten."""
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
        else:
            self.status = status
            self._tell()

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        if self.status:
            self._ended = True
            self.reusable = self._parser.should_keep_alive()  # asked now: the parser forgets

    def _push(self) -> None:
        if self._sink is None:
            # Nobody takes it yet: the rest waits in the kernel, not here.
            self._connection.pause()
            self._tell()
            return
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._sink(data):
            self._sink = None
            self._tell()

    def _fail(self, failure: Exception) -> None:
        self._failure = self._failure or failure
        self._tell()

    def _tell(self) -> None:
        if not self._news.done():
            self._news.set_result(None)

    async def _wait(self) -> None:
        await self._news
        self._news = asyncio.get_running_loop().create_future()
