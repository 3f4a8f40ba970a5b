import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator

from sluice_service.telemetry.context import CURRENT, RequestContext
from sluice_service.telemetry.entries import write
from tests.service.telemetry.logged import Logged

OTHER = RequestContext("r-2", "c-2", user="bob")


def in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def correlation_ids(caught: Logged) -> list[str | None]:
    return [document.get("correlation_id") for document in caught.documents]


def serve_other() -> None:
    CURRENT.set(OTHER)
    write("request_received", "another request")


def body() -> Iterator[bytes]:
    write("request_received", "before the first chunk")
    yield b"a"
    write("chunk_sent", "after it was suspended")
    yield b"b"


def test_thread_with_a_copied_context_names_the_request(cloud: Logged, current: RequestContext) -> None:
    copied = contextvars.copy_context()
    in_thread(lambda: copied.run(write, "chunk_sent", "from the pump"))
    in_thread(lambda: copied.run(logging.getLogger("some.library").warning, "from a library"))
    assert correlation_ids(cloud) == [current.correlation_id] * 2
    assert all("4bf92f3577b34da6a3ce929d0e0e4736" in line for line in cloud.lines)


def test_thread_without_it_names_none(cloud: Logged, current: RequestContext) -> None:
    in_thread(lambda: write("stream_cleanup", "from elsewhere"))
    assert current.correlation_id not in cloud.text


def test_task_on_another_threads_loop_names_the_request_that_made_it(cloud: Logged, current: RequestContext) -> None:
    async def task() -> None:
        await asyncio.sleep(0)
        write("chunk_sent", "from the pump")

    async def pump(context: contextvars.Context) -> None:
        await asyncio.get_running_loop().create_task(task(), context=context)
        write("stream_cleanup", "of the pump itself")

    copied = contextvars.copy_context()
    in_thread(lambda: asyncio.run(pump(copied)))
    assert correlation_ids(cloud) == [current.correlation_id, None]


def test_generator_that_was_suspended_names_its_own_request(cloud: Logged, current: RequestContext) -> None:
    chunks = body()
    next(chunks)
    in_thread(serve_other)
    next(chunks)
    assert correlation_ids(cloud) == [current.correlation_id, OTHER.correlation_id, current.correlation_id]


def test_generator_that_another_thread_runs_on_in_the_copied_context_does_too(
    cloud: Logged, current: RequestContext
) -> None:
    chunks = body()
    next(chunks)
    copied = contextvars.copy_context()
    in_thread(lambda: copied.run(next, chunks))
    assert correlation_ids(cloud) == [current.correlation_id] * 2
