"""Noticing that a client has gone while there is nothing to write to it.

A WSGI generator learns of it only at its next write. So the sockets of all readers stand in one epoll, for nothing but
EPOLLRDHUP (the peer has closed or shut down its side), and that epoll is one more descriptor in the pump's own loop.
"""

import select
import socket
import threading
from collections.abc import Callable

from sluice_service.generation.pump import Pump


class Departures:
    """Any thread may `watch` and `unwatch`; callbacks run on the pump's thread, at most once for each watch.

    Where there is no epoll (macOS), departures are noticed at the next write, heartbeats included.
    """

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        # Guards the making of the epoll; the kernel guards its use from several threads.
        self._making = threading.Lock()
        self._epoll: select.epoll | None = None
        self._callbacks: dict[int, Callable[[], object]] = {}

    def watch(self, connection: socket.socket, departed: Callable[[], object]) -> None:
        """Call `departed` when the peer has gone, until `unwatch`, which must come before the socket closes."""
        if not hasattr(select, "epoll"):
            return
        self._callbacks[connection.fileno()] = departed
        # One-shot, for the condition never passes and would be reported again and again.
        self._made().register(connection.fileno(), select.EPOLLRDHUP | select.EPOLLONESHOT)

    def unwatch(self, connection: socket.socket) -> None:
        """Forget the connection; no-op when it is not watched."""
        if self._callbacks.pop(connection.fileno(), None) is not None:
            self._made().unregister(connection.fileno())

    def _made(self) -> select.epoll:
        with self._making:
            if self._epoll is None:
                self._epoll = select.epoll()
                self._pump.post(self._pump.loop.add_reader, self._epoll.fileno(), self._notice)
        return self._epoll

    def _notice(self) -> None:
        if self._epoll is None:
            return
        for descriptor, _ in self._epoll.poll(0):
            departed = self._callbacks.get(descriptor)
            if departed is not None and _has_hung_up(descriptor):
                departed()


def _has_hung_up(descriptor: int) -> bool:
    """Asked again, because the number may have passed to a new connection since the event was queued."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP)
    return any(happened & (select.POLLRDHUP | select.POLLHUP | select.POLLERR) for _, happened in poll.poll(0))
