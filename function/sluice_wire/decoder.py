"""Server-Sent Events, decoded: bytes in any pieces to events, exactly as the standard says.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream". Deliberate additions: a line and an event are bounded,
since a peer that never ends one would otherwise fill the memory.
"""

from dataclasses import dataclass

MAX_EVENT_BYTES = 4 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_RETRY_DIGITS = 18
"""More would be longer than the universe; Python refuses to read more than 4,300 of them."""


class EventTooLong(ValueError):
    """A line, or the data of one event, is longer than the decoder's bound; the stream cannot be read on."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event. `id` is the stream's last event id at that moment, "" when none was ever sent."""

    data: str
    event: str = "message"
    id: str = ""


class Decoder:
    """Incremental: `feed` takes the bytes as they come and returns the events that they complete.

    What has not been ended by a blank line when the stream ends is discarded, as the standard asks: just stop feeding.

    >>> decoder = Decoder()
    >>> decoder.feed(b"data: a\\r")
    []
    >>> decoder.feed(b"\\n\\r\\n")
    [ServerSentEvent(data='a', event='message', id='')]
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.last_event_id = ""
        self.retry_milliseconds: int | None = None
        self._max_bytes = max_event_bytes
        self._broken = ""
        self._head: bytes | None = b""
        self._after_cr = False
        self._unfinished = bytearray()
        self._id = ""
        self._event = ""
        self._data: list[str] = []
        self._data_bytes = 0

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events completed by `data`.

        Raises EventTooLong when a line or an event passes the bound, from then on always; what was completed before it
        is returned first, so that no text is lost.
        """
        if self._broken:
            raise EventTooLong(self._broken)
        if self._head is not None:
            data = self._without_bom(self._head + data)
        events: list[ServerSentEvent] = []
        try:
            for line in self._lines(data):
                if line:
                    self._field(line)
                else:
                    self._dispatch(events)
            self._check(self._unfinished, "a line")
        except EventTooLong as error:
            self._broken = str(error)
            if not events:
                raise
        return events

    def whole_lines(self, data: bytes) -> list[bytes] | None:
        """The data of each event, when the bytes are nothing but whole events of one `data: ` line each.

        None when they are not, or an event is under way: then they are for `feed`. It saves three quarters of the time.
        """
        if self._unfinished or self._data or self._event or self._after_cr or self._broken or self._head:
            return None
        if not (data.startswith(b"data: ") and data.endswith(b"\n\n")) or b"\r" in data:
            return None
        found = data[6:-2].split(b"\n\ndata: ")
        if data.count(b"\n") != 2 * len(found) or len(data) > self._max_bytes:
            return None
        self._head = None
        self.last_event_id = self._id
        return found

    def _without_bom(self, head: bytes) -> bytes:
        if len(head) < len(_BOM) and _BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(_BOM)

    def _lines(self, data: bytes) -> list[bytes]:
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._unfinished:
            lines[0] = bytes(self._unfinished + lines[0])
            self._unfinished.clear()
        self._unfinished += rest
        return lines

    def _check(self, held: bytes | bytearray, what: str) -> None:
        if len(held) > self._max_bytes:
            raise EventTooLong(f"{what} is longer than {self._max_bytes} bytes")

    def _field(self, line: bytes) -> None:
        self._check(line, "a line")
        if line.startswith(b"data: "):
            self._append(line[6:])
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self.retry_milliseconds = int(value.lstrip(b"0")[:_RETRY_DIGITS] or b"0")

    def _append(self, value: bytes) -> None:
        self._data_bytes += len(value) + 1
        if self._data_bytes > self._max_bytes:
            raise EventTooLong(f"an event is longer than {self._max_bytes} bytes")
        self._data.append(value.decode("utf-8", "replace"))

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        self.last_event_id = self._id
        if self._data:
            events.append(ServerSentEvent("\n".join(self._data), self._event or "message", self._id))
            self._data, self._data_bytes = [], 0
        self._event = ""
