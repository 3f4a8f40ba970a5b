"""SIGTERM as Cloud Run sends it: open streams end with a whole frame, new requests are refused, the process exits."""

import json
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from sluice_wire.decoder import Decoder
from tests.support.running_function import RunningFunction, running_function
from tests.support.scripted_upstream import HANG, STREAM_HEAD, Script, ScriptedUpstream, Step, answer, chunk

PATH = "/v1/chat/completions"


@contextmanager
def function_over(upstream: ScriptedUpstream, **more: str) -> Iterator[RunningFunction]:
    environment = {"OPENAI_API_KEY": "sk-up", "OPENAI_BASE_URL": upstream.url, "HEARTBEAT_SECONDS": "0.5", **more}
    with running_function(environment) as function:
        yield function


def by_question(scripts: dict[str, Script]) -> Any:
    return lambda body: scripts[body["messages"][0]["content"]]


def body(question: str) -> dict[str, Any]:
    return {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": question}]}


def last_event(raw: bytes) -> Any:
    assert raw.endswith(b"\n\n"), "the stream ends inside a frame"
    data = Decoder().feed(raw)[-1].data
    return data if data == "[DONE]" else json.loads(data)


def terminate(function: RunningFunction) -> float:
    function.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def reader_that_takes_nothing(function: RunningFunction) -> socket.socket:
    payload = json.dumps(body("flood")).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", function.port))
    head = f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {function.key}\r\ncontent-type: application/json\r\n"
    connection.sendall(f"{head}content-length: {len(payload)}\r\n\r\n".encode() + payload)
    return connection


def test_fifty_open_streams_end_with_a_whole_frame_and_the_process_exits(shared_upstream: ScriptedUpstream) -> None:
    endless: list[Step] = [STREAM_HEAD, *(step for _ in range(200) for step in (chunk("tick "), 0.1))]
    flood: list[Step] = [STREAM_HEAD, *[chunk("x" * 4000)] * 1000, HANG]
    shared_upstream.script = by_question(
        {
            "endless": endless,
            "silent": [STREAM_HEAD, HANG],
            "soon": answer(*["word "] * 10, pause=0.15),
            "flood": flood,
        }
    )
    with function_over(shared_upstream) as function, ThreadPoolExecutor(60) as pool, function.client() as http:

        def ask(question: str) -> bytes:
            return http.post(PATH, json=body(question)).content

        http.get("/health")
        stuck = reader_that_takes_nothing(function)
        asked = [pool.submit(ask, question) for question in ["endless"] * 48 + ["silent", "soon"]]
        function.wait_for_log("request_received POST /v1/chat/completions", count=51)
        began = terminate(function)
        function.wait_for_log("draining")
        refused = http.post(PATH, json=body("soon"))
        results = [future.result() for future in asked]
        ended = time.monotonic() - began
        function.process.wait(10)
        exited = time.monotonic() - began
        stuck.close()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_draining")
    assert refused.headers["retry-after"] == "1"
    assert last_event(results[-1]) == "[DONE]"
    for raw in results[:-1]:
        error = last_event(raw)["error"]
        assert (error["code"], error["retryable"], error["resumable"]) == ("server_draining", True, False)
    assert ended < 8
    assert exited < 9
    assert function.process.returncode == 0


def test_idle_server_exits_at_once_and_an_answer_about_to_finish_finishes(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = answer(*["word "] * 10, pause=0.1)
    with function_over(shared_upstream) as function, function.client() as http:
        began = threading.Event()

        def terminate_when_begun() -> None:
            began.wait(10)
            terminate(function)

        threading.Thread(target=terminate_when_begun).start()
        with http.stream("POST", PATH, json=body("x")) as reply:
            raw = b""
            for piece in reply.iter_raw():
                raw += piece
                began.set()
        assert last_event(raw) == "[DONE]"
        function.process.wait(4)
    assert function.process.returncode == 0


def test_answer_in_the_middle_of_a_save_ends_whole_and_unsaved(shared_upstream: ScriptedUpstream, tmp_path: Path) -> None:
    shared_upstream.script = answer(*["word "] * 14, pause=0.2)
    database = tmp_path / "conversations.db"
    with function_over(shared_upstream, CONVERSATIONS=f"sqlite:///{database}") as function, function.client() as http:
        with http.stream("POST", PATH, json={**body("x"), "store": True}) as reply:
            pieces = reply.iter_raw()
            raw = next(pieces)
            lock = sqlite3.connect(database, isolation_level=None)
            lock.execute("BEGIN EXCLUSIVE")
            began = terminate(function)
            raw += b"".join(pieces)
        function.process.wait(10)
        exited = time.monotonic() - began
        lock.close()
    assert last_event(raw) == "[DONE]"
    assert b'"persisted":false' in raw
    assert exited < 9


def test_half_a_request_does_not_hold_up_the_exit(shared_upstream: ScriptedUpstream) -> None:
    with function_over(shared_upstream) as function, socket.create_connection(("127.0.0.1", function.port)) as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n")
        httpx.get(f"{function.url}/health")
        began = terminate(function)
        function.process.wait(9)
    assert time.monotonic() - began < 9
    assert function.process.returncode == 0


def test_stream_in_its_grace_is_ended_and_told(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = [STREAM_HEAD, chunk("a"), HANG]
    with function_over(shared_upstream) as function, function.client() as http:
        with http.stream("POST", PATH, json=body("x")) as reply:
            next(reply.iter_raw())
        terminate(function)
        function.wait_for_log("error_occurred.*server_draining", seconds=9)
        function.process.wait(9)
    assert function.process.returncode == 0


def test_health_tells_the_truth_until_the_end(shared_upstream: ScriptedUpstream) -> None:
    shared_upstream.script = [STREAM_HEAD, HANG]
    with function_over(shared_upstream) as function, function.client() as http:
        with http.stream("POST", PATH, json=body("x")):
            terminate(function)
            function.wait_for_log("draining")
            assert httpx.get(f"{function.url}/health").status_code == 200
        function.process.wait(9)
