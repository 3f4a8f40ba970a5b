"""A straightforward reading of WHATWG HTML, 9.2.6 "Interpreting an event stream": whole streams only, no speed in mind."""

import re
from dataclasses import dataclass, field


@dataclass
class Parsed:
    """What a browser would have seen of a stream: (data, type, last event id) of each event, and what it keeps."""

    events: list[tuple[str, str, str]] = field(default_factory=list)
    last_event_id: str = ""
    retry: int | None = None


def parse(stream: bytes) -> Parsed:
    # "Streams must be decoded using the UTF-8 decode algorithm", which strips one leading byte order mark.
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    # "Once the end of the file is reached, any pending data must be discarded."
    lines = re.split("\r\n|\n|\r", text)[:-1]
    parsed = Parsed()
    data = event_type = id_buffer = ""
    for line in lines:
        if line == "":
            parsed.last_event_id = id_buffer
            if data:
                parsed.events.append((data.removesuffix("\n"), event_type or "message", id_buffer))
            data = event_type = ""
            continue
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event_type = value
        elif name == "data":
            data += value + "\n"
        elif name == "id" and "\0" not in value:
            id_buffer = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            parsed.retry = int(value)
    return parsed
