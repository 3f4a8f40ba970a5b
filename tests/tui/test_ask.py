"""`sluice ask`: what it writes, and what it leaves with."""

import fcntl
import json
import shlex
import signal
import socket
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import IO

import pytest

from sluice_wire.errors import SluiceError
from sluice_wire.version import __version__
from tests.support.waiting import until
from tests.tui.command import SECONDS, environment, sluice, sluice_process, started
from tests.tui.fake_openai import BROKEN, DONE, HANG, RESET, FakeOpenAI, Reply, chunk, frame, whole
from tests.tui.processes import SLUICE
from tests.tui.pseudo_terminal import pseudo_terminal


def test_the_answer_goes_to_standard_output_and_nothing_else_does(server: FakeOpenAI) -> None:
    result = sluice_process("ask", "how", "are you", "--url", server.url)

    assert (result.stdout, result.stderr, result.returncode) == ("Hello world\n", "", 0)
    assert server.completions[0].body["messages"] == [{"role": "user", "content": "how are you"}]
    assert server.completions[0].body["model"] == "fake"


def test_standard_input_is_the_prompt_where_there_are_no_words(server: FakeOpenAI) -> None:
    assert sluice("--url", server.url, input="from a pipe").stdout == "Hello world\n"

    assert server.completions[0].body["messages"][0]["content"] == "from a pipe"


def test_standard_input_follows_the_words(server: FakeOpenAI) -> None:
    sluice("ask", "summarise:", "--url", server.url, input="a text")

    assert server.completions[0].body["messages"][0]["content"] == "summarise:\n\na text"


def test_options_come_from_the_environment_and_the_command_line_wins(server: FakeOpenAI) -> None:
    settings = {"SLUICE_URL": server.url, "SLUICE_API_KEY": "sk-env\n", "SLUICE_AGENT": "env"}
    sluice("ask", "x", **settings)
    sluice("ask", "x", "--agent", "given", "--api-key", "sk-given", **settings)

    first, second = server.completions
    assert (first.body["model"], first.headers["authorization"]) == ("env", "Bearer sk-env")
    assert (second.body["model"], second.headers["authorization"]) == ("given", "Bearer sk-given")


def test_text_arrives_before_the_answer_is_whole(server: FakeOpenAI) -> None:
    server.script = ["first", HANG]
    process = started("ask", "x", "--url", server.url)

    assert process.stdout is not None
    assert process.stdout.read(5) == "first"

    process.kill()
    process.communicate()


def test_what_a_model_sends_cannot_steer_the_terminal(server: FakeOpenAI) -> None:
    server.script = whole("\x1b]0;owned\x07", "\x1b[2J\u202e", "é✓")

    assert sluice("ask", "x", "--url", server.url).stdout == "␛]0;owned␇␛[2J⟨U+202E⟩é✓\n"


def test_a_locale_that_cannot_write_a_character_does_not_end_the_answer(server: FakeOpenAI) -> None:
    server.script = whole("a✓b")

    ended = sluice_process("ask", "x", "--url", server.url, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")

    assert ended.stdout == "a?b\n"


def test_a_model_that_stops_early_is_told_apart(server: FakeOpenAI) -> None:
    server.script = ["cut", chunk(finish_reason="length"), DONE]

    result = sluice("ask", "x", "--url", server.url)

    assert (result.stdout, result.returncode) == ("cut\n", 0)
    assert "length" in result.stderr


def test_json_is_one_event_a_line_with_the_models_own_text(server: FakeOpenAI) -> None:
    server.script = whole("\x1b[1m", "ü")

    result = sluice("ask", "x", "--json", "--url", server.url)

    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.stdout.isascii()
    assert events[:3] == [
        {"type": "delta", "text": "\x1b[1m"},
        {"type": "delta", "text": "ü"},
        {"type": "finish", "reason": "stop"},
    ]
    assert events[3]["usage"]["completion_tokens"] == 7
    assert (events[4]["type"], events[4]["tokens"]) == ("done", 7)


def test_json_tells_an_error_as_its_last_line(server: FakeOpenAI) -> None:
    server.script = ["part", BROKEN]

    result = sluice("ask", "x", "--json", "--url", server.url)

    last = json.loads(result.stdout.splitlines()[-1])
    assert (result.returncode, last["type"], last["error"]["code"]) == (1, "error", "upstream_truncated")


# -- exit codes


def test_exit_1_when_the_answer_breaks_and_what_came_stays(server: FakeOpenAI) -> None:
    server.script = ["the first half", frame(SluiceError("idle_timeout", seconds=3).report("corr-7").to_openai())]

    result = sluice("ask", "x", "--url", server.url)

    assert (result.stdout, result.returncode) == ("the first half\n", 1)
    for part in ("fell silent", "kept the connection open", "Send the request again", "idle_timeout · corr-7"):
        assert part in result.stderr


@pytest.mark.parametrize(
    "arguments", [["--nonsense"], ["ask"], ["ask", " "], [], ["ask", "x", "--url", "localhost:80"], ["wat"]]
)
def test_exit_2_when_the_command_line_is_wrong(arguments: list[str]) -> None:
    result = sluice(*arguments)

    assert (result.returncode, result.stdout) == (2, "")
    assert "usage: sluice" in result.stderr


def test_exit_3_when_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = sluice("ask", "x", "--url", f"http://127.0.0.1:{port}")

    assert (result.returncode, result.stdout) == (3, "")
    assert "Nothing answers at" in result.stderr


def test_exit_3_when_the_address_is_no_api(server: FakeOpenAI) -> None:
    server.replies["/v1/models"] = Reply(200, "<html>", "text/html")

    assert sluice("ask", "x", "--url", server.url).returncode == 3


def test_exit_3_when_there_is_no_function_to_start() -> None:
    """Only the terminal's packages, as after `pip install sluice`: the service is hidden from it."""
    hide = "import sys; sys.modules['sluice_service'] = None; import importlib.util as u; find = u.find_spec;"
    hide += "u.find_spec = lambda name: None if name == 'sluice_service' else find(name);"
    run = [sys.executable, "-c", f"{hide} from sluice_tui.cli import main; sys.exit(main(['ask', 'x']))"]
    result = subprocess.run(run, env=environment(), input="", capture_output=True, text=True, timeout=SECONDS)

    assert result.returncode == 3
    assert "sluice[service]" in result.stderr


def test_exit_4_when_the_key_is_refused(server: FakeOpenAI) -> None:
    told = SluiceError("invalid_credentials").report("abc")
    server.replies["/v1/models"] = Reply(401, told.to_openai())

    result = sluice("ask", "x", "--url", server.url, SLUICE_API_KEY="sk-secret")

    assert result.returncode == 4
    assert "The API key is not valid here." in result.stderr
    assert "sk-secret" not in result.stderr


def test_exit_130_and_quiet_after_ctrl_c(server: FakeOpenAI) -> None:
    server.stream_id, server.script = "s1", ["first", HANG]
    process = started("ask", "x", "--url", server.url)
    assert process.stdout is not None
    process.stdout.read(5)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)

    assert (process.returncode, errors) == (130, "")
    assert server.completions[0].gone.wait(5)
    assert server.paths[-1] == "/streams/s1/cancel"


def test_ctrl_c_on_a_terminal_leaves_the_next_line_free(server: FakeOpenAI) -> None:
    server.script = ["first", HANG]
    with pseudo_terminal(*SLUICE, "ask", "x", "--url", server.url, environment=environment()) as terminal:
        terminal.until("first")
        terminal.type("\x03")

        assert terminal.left_with() == 130

    assert terminal.shown.replace("^C", "") == "first\n"


def test_exit_141_and_quiet_when_the_reader_goes_away(server: FakeOpenAI) -> None:
    server.script = [*["x" * 4096] * 100, *whole()]
    process = started("ask", "x", "--url", server.url)
    assert process.stdout is not None
    process.stdout.read(5)
    process.stdout.close()

    assert process.wait(SECONDS) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.parametrize(
    ("output", "code", "told"),
    [("/dev/full", 1, "sluice: the output cannot be written: No space left on device\n"), ("&-", 0, "")],
)
def test_an_output_that_cannot_be_written_is_told(server: FakeOpenAI, output: str, code: int, told: str) -> None:
    command = f"{shlex.join([*SLUICE, 'ask', 'x', '--url', server.url])} >{output}"
    for unbuffered in ("", "1"):
        given = environment(PYTHONUNBUFFERED=unbuffered)
        run = subprocess.run(command, shell=True, env=given, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

        assert (run.returncode, run.stderr) == (code, told)


def test_help_names_every_exit_code_and_version_the_version() -> None:
    assert all(f"\n  {code} " in sluice("ask", "--help").stdout for code in (0, 1, 2, 3, 4, 130, 141))
    assert sluice("--version").stdout == f"sluice {__version__}\n"


@pytest.mark.parametrize("before", [True, False])
def test_options_count_on_either_side_of_the_command(before: bool) -> None:
    options = ["--url", "http://127.0.0.1:9", "--json"]
    result = sluice(*options, "ask", "hi") if before else sluice("ask", *options, "hi")
    assert result.returncode == 3
    assert "connection_refused" in result.stdout


def test_ctrl_c_while_the_question_is_still_being_read_is_130() -> None:
    process = subprocess.Popen(
        [*SLUICE, "ask", "--url", "http://127.0.0.1:9"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert process.stdin is not None
    process.stdin.write(b"half a question")
    process.stdin.flush()
    until(lambda: _unread_bytes(process.stdin) == 0, "the question is being read")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert b"Traceback" not in errors


def _unread_bytes(pipe: IO[bytes] | None) -> int:
    assert pipe is not None
    unread = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(unread, sys.byteorder)


# -- what is asked, and how


def test_files_and_instructions_are_part_of_the_question(server: FakeOpenAI, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")

    sluice("ask", "sum up", "-f", str(tmp_path / "a.txt"), "--system", "Be brief.", "--url", server.url)

    assert server.completions[0].body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": f"sum up\n\nFile {tmp_path / 'a.txt'}:\n```\none\n```"},
    ]


def test_a_file_alone_is_a_question_and_one_that_is_not_there_a_mistake(server: FakeOpenAI, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")

    assert sluice("ask", "-f", str(tmp_path / "a.txt"), "--url", server.url).returncode == 0
    missing = sluice("ask", "x", "-f", "/nonexistent", "--url", server.url)

    assert (missing.returncode, missing.stdout) == (2, "")
    assert "/nonexistent cannot be read: No such file or directory" in missing.stderr


def test_in_one_piece_it_is_not_streamed(server: FakeOpenAI) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "all at once"}, "finish_reason": "stop"}
    server.scripts = [Reply(200, {"choices": [choice]})]

    assert sluice("ask", "x", "--no-stream", "--url", server.url).stdout == "all at once\n"
    assert server.completions[0].body["stream"] is False


def test_what_a_model_thinks_aloud_is_an_event_of_its_own_and_no_text(server: FakeOpenAI) -> None:
    server.script = [chunk(delta={"reasoning_content": "hm", "content": "more "}), *whole("text")]

    assert sluice("ask", "x", "--url", server.url).stdout == "more text\n"
    events = [json.loads(line) for line in sluice("ask", "x", "--json", "--url", server.url).stdout.splitlines()]
    assert events[:2] == [{"type": "reasoning", "text": "hm"}, {"type": "delta", "text": "more "}]


# -- conversations


def test_a_conversation_goes_on_with_what_is_stored_and_with_its_agent(server: FakeOpenAI) -> None:
    message = {"created": 1.0, "status": "complete", "usage": None, "finish_reason": "stop", "stream_id": "s0"}
    messages = [
        {"id": "1", "role": "user", "content": "first", **message},
        {"id": "2", "role": "assistant", "content": "answer", **message},
    ]
    stored = {"id": "c1", "title": "t", "agent": "other", "created": 1.0, "updated": 1.0, "message_count": 2}
    server.models = [{"id": "demo", "owned_by": "sluice"}, {"id": "other", "owned_by": "sluice"}]
    server.replies["/v1/conversations/c1?limit=100"] = Reply(200, {**stored, "messages": {"data": messages}})

    assert sluice("ask", "next", "--conversation", "c1", "--url", server.url).returncode == 0

    body = server.completions[0].body
    assert [message["content"] for message in body["messages"]] == ["first", "answer", "next"]
    assert (body["model"], body["store"], body["metadata"]) == ("other", True, {"conversation_id": "c1"})


def test_one_that_nobody_has_yet_is_begun(server: FakeOpenAI) -> None:
    server.models = [{"id": "demo", "owned_by": "sluice"}]
    server.replies["/v1/conversations/c1?limit=100"] = Reply(404, SluiceError("not_found", path="x").report("a").to_openai())

    assert sluice("ask", "first", "--conversation", "c1", "--url", server.url).returncode == 0
    assert [message["content"] for message in server.completions[0].body["messages"]] == ["first"]


def test_a_server_that_keeps_none_says_so(server: FakeOpenAI) -> None:
    ended = sluice("ask", "x", "--conversation", "c1", "--url", server.url)

    assert (ended.returncode, ended.stdout, server.completions) == (1, "", [])
    assert "keeps no conversations" in ended.stderr


# -- more exit codes, and the terminal


def test_exit_5_when_a_limit_is_reached(server: FakeOpenAI) -> None:
    refused = SluiceError("rate_limited", retry_after_seconds=90, limit=1)
    server.scripts = [Reply(429, refused.report("a").to_openai(), headers={"retry-after": "90"})]

    assert sluice("ask", "x", "--url", server.url).returncode == 5


def test_exit_124_when_the_time_is_over_and_what_came_stays(server: FakeOpenAI) -> None:
    server.stream_id, server.script = "s1", ["first", HANG]

    ended = sluice("ask", "x", "--timeout", "0.5", "--url", server.url)

    assert (ended.stdout, ended.returncode) == ("first\n", 124)
    assert "not whole after 0.5 s" in ended.stderr
    assert server.paths[-1] == "/streams/s1/cancel"


def test_the_time_counts_for_a_stored_conversation_too(server: FakeOpenAI) -> None:
    server.models = [{"id": "demo", "owned_by": "sluice"}]
    server.replies["/v1/conversations/c1?limit=100"] = Reply(200, {}, gate=threading.Event())

    ended = sluice("ask", "x", "--timeout", "0.5", "--conversation", "c1", "--url", server.url)

    assert (ended.stdout, ended.returncode) == ("", 124)


def test_no_escape_sequence_reaches_a_terminal(server: FakeOpenAI) -> None:
    """On a pty, where programs colour what they write; errors, waits and answers alike."""
    server.stream_id = "s1"
    server.scripts = [["\x1b[31mred ", RESET]]
    server.resumptions = [whole("end")]
    command = (*SLUICE, "ask", "x", "--url", server.url)
    with pseudo_terminal(*command, environment=environment(TERM="xterm-256color")) as terminal:
        assert terminal.left_with() == 0

    assert "\x1b" not in terminal.shown
    assert terminal.shown.startswith("␛[31mred \nsluice: the connection is lost; reconnecting 1/6 ")
    assert terminal.shown.endswith("\nend\n")


def test_asking_imports_no_widget_and_no_colour() -> None:
    code = "import sys; import sluice_tui.cli, sluice_tui.plain.printers, sluice_tui.plain.stored;"
    code += "print({'textual', 'rich', 'click', 'pygments', 'shtab'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
