"""`sluice --plain`: a chat of lines, without a process, and in a real terminal."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from sluice_tui.api import Endpoint
from sluice_tui.connection import Connection
from sluice_tui.plain.chat import Chat
from sluice_tui.plain.commands import COMMANDS, obey
from sluice_tui.plain.printers import ChatPrinter
from sluice_wire.errors import SluiceError
from sluice_wire.events import Delta
from tests.support.waiting import until
from tests.tui.asking import HASTY
from tests.tui.command import environment
from tests.tui.fake_openai import BROKEN, HANG, RESET, FakeOpenAI, Reply, whole
from tests.tui.processes import SLUICE
from tests.tui.pseudo_terminal import PseudoTerminal, pseudo_terminal


@dataclass
class Talk:
    """What a chat says to lines that are given one after another; a function among them is called in its place."""

    server: FakeOpenAI
    out: io.StringIO = field(default_factory=io.StringIO)
    told: io.StringIO = field(default_factory=io.StringIO)
    system: str | None = None
    agent: str | None = None

    def say(self, *lines: str | Callable[[], str]) -> int:
        given: Iterator[str | Callable[[], str]] = iter(lines)

        def read_line(_: str) -> str:
            line = next(given, None)
            if line is None:
                raise EOFError
            return line() if callable(line) else line

        connection = Connection(Endpoint(self.server.url), self.agent, patience=HASTY)
        return Chat(connection, read_line, obey, self.out, self.told, self.system).run()

    @property
    def asked(self) -> list[list[str]]:
        return [[message["content"] for message in request.body["messages"]] for request in self.server.completions]


@pytest.fixture
def talk(server: FakeOpenAI) -> Talk:
    return Talk(server)


def stored(server: FakeOpenAI, messages: list[dict[str, str]]) -> None:
    """The server keeps one conversation, c1, of these messages."""
    server.models = [{"id": "demo", "owned_by": "sluice"}]
    summary = {"id": "c1", "title": "Tides", "agent": "demo", "created": 1.0, "updated": 1.0, "message_count": len(messages)}
    numbered = [{"id": str(number), **message} for number, message in enumerate(messages, 1)]
    server.replies["/v1/conversations?limit=100"] = Reply(200, {"data": [summary]})
    server.replies["/v1/conversations/c1?limit=100"] = Reply(200, {**summary, "messages": {"data": numbered}})


def test_each_question_goes_with_what_was_said_before(talk: Talk) -> None:
    talk.system = "Be brief."

    assert talk.say("one", "", "two") == 0

    assert talk.asked == [["Be brief.", "one"], ["Be brief.", "one", "Hello world", "two"]]
    assert talk.out.getvalue() == "fake: Hello world\n" * 2
    assert talk.told.getvalue().startswith("Connected to fake at 127.0.0.1:")


def test_a_backslash_carries_a_message_on_and_two_slashes_begin_one_with_a_slash(talk: Talk) -> None:
    talk.say("one\\", "two", "//etc/hosts")

    assert [asked[-1] for asked in talk.asked] == ["one\ntwo", "/etc/hosts"]


def test_a_new_conversation_knows_nothing_of_the_last(talk: Talk) -> None:
    talk.say("one", "/new", "two")

    assert talk.asked == [["one"], ["two"]]


def test_an_error_is_told_in_its_parts_and_the_question_can_be_asked_again(talk: Talk, server: FakeOpenAI) -> None:
    server.scripts = [["half of it", BROKEN], whole("all")]

    talk.say("one", "/retry")

    assert talk.out.getvalue() == "fake: half of it\nfake: all\n"
    told = talk.told.getvalue().splitlines()[1:]
    assert [line.partition(":")[0] for line in told] == ["Error", "Why", "What to do", "Code", "/retry asks it again.", ""]
    first, second = server.completions
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_question_that_failed_before_it_was_sent_can_be_asked_again(talk: Talk, server: FakeOpenAI) -> None:
    talk.agent = "fake"
    server.replies["/v1/models"] = Reply(500, "")

    def mended() -> str:
        del server.replies["/v1/models"]
        return "/retry"

    talk.say("one", mended, "two")

    assert talk.asked == [["one"], ["one", "Hello world", "two"]]


def test_a_good_answer_that_is_asked_for_again_is_another_one(talk: Talk, server: FakeOpenAI) -> None:
    talk.say("one", "/retry")

    assert talk.asked == [["one"], ["one"]]
    assert len({request.headers["idempotency-key"] for request in server.completions}) == 2


def test_to_another_agent_a_question_that_failed_is_another_request(talk: Talk, server: FakeOpenAI) -> None:
    server.models, server.scripts = [{"id": "a"}, {"id": "b"}], [["half of it", BROKEN], whole("all")]

    talk.say("one", "/agent b", "/retry")

    assert [request.body["model"] for request in server.completions] == ["a", "b"]
    assert len({request.headers["idempotency-key"] for request in server.completions}) == 2


def test_a_conversation_that_was_deleted_elsewhere_can_be_gone_on_with(talk: Talk, server: FakeOpenAI) -> None:
    stored(server, [{"role": "user", "content": "first"}, {"role": "assistant", "content": "answer"}])

    def deleted() -> str:
        server.replies["/v1/conversations/c1?limit=100"] = Reply(404, SluiceError("not_found").report("corr").to_openai())
        return "/retry"

    talk.say("/open 1", "next", deleted)

    assert talk.asked == [["first", "answer", "next"]] * 2
    first, second = (request.body["metadata"]["conversation_id"] for request in server.completions)
    assert first != second


def test_text_without_spaces_is_written_as_it_comes_and_words_whole() -> None:
    out = io.StringIO()
    printer = ChatPrinter(out, io.StringIO())

    def written(text: str) -> str:
        before = len(out.getvalue())
        printer.event(Delta([], text, 0))
        return out.getvalue()[before:]

    assert [written("水門"), written("是"), written("。 a lo")] == ["水門", "是", "。 a "]
    assert written("ck คลองชลประทาน") == "lock "
    assert written("ที่ยาวมากเหลือเกินจริงๆนะครับท่าน").startswith("คลองชลประทานที่")
    assert [written("a" + "\u0f74" * 60 + " "), written("\u0f74" * 60 + " ")] == [
        "a" + "\u0f74" * 8 + " ",
        "\u0f74" * 8 + " ",
    ]


def test_a_dropped_stream_is_read_on_in_whole_words(talk: Talk, server: FakeOpenAI) -> None:
    server.stream_id, server.script = "s1", ["one tw", RESET]
    server.resumptions = [whole("o three")]

    talk.say("hi")

    assert talk.out.getvalue() == "fake: one two three\n"
    assert "The connection is lost; reconnecting 1/6" in talk.told.getvalue()


def test_the_agent_can_be_changed_and_only_to_one_that_is_there(talk: Talk, server: FakeOpenAI) -> None:
    server.models = [{"id": "a", "description": "The \x1b[1mfirst."}, {"id": "b"}]

    talk.say("/agent", "/agent c", "/agent b", "hi")

    assert server.completions[0].body["model"] == "b"
    assert "a: The ␛[1mfirst.\nb\n" in talk.told.getvalue()
    assert "There is no agent c." in talk.told.getvalue()


def test_a_server_that_keeps_conversations_is_given_this_one(talk: Talk, server: FakeOpenAI) -> None:
    server.models = [{"id": "demo", "owned_by": "sluice"}]

    talk.say("one", "two", "/new", "three")

    first, second, third = (request.body["metadata"]["conversation_id"] for request in server.completions)
    assert first == second != third


def test_a_stored_conversation_can_be_listed_and_gone_on_with(talk: Talk, server: FakeOpenAI) -> None:
    broken_off = {"role": "assistant", "content": "answer", "status": "partial"}
    stored(server, [{"role": "user", "content": "first"}, broken_off])

    talk.say("/conversations", "/open 2", "/open 1", "next")

    assert "1: Tides\n" in talk.told.getvalue()
    assert "There is no conversation 2." in talk.told.getvalue()
    assert "You: first\ndemo: answer\nThis answer was interrupted.\n" in talk.told.getvalue()
    assert talk.asked == [["first", "next"]]
    assert server.completions[0].body["metadata"] == {"conversation_id": "c1"}


def test_a_server_that_keeps_none_says_so_and_the_chat_goes_on(talk: Talk) -> None:
    talk.say("/conversations", "hi")

    assert "keeps no conversations" in talk.told.getvalue()
    assert talk.asked == [["hi"]]


@pytest.mark.parametrize("name", [*COMMANDS, "nothing"])
def test_every_command_says_something_or_leaves(talk: Talk, name: str) -> None:
    assert talk.say("hi", f"/{name}", "/quit", "never") == 0

    assert len(talk.told.getvalue().splitlines()) > 1 or name in ("quit", "retry")
    assert "never" not in str(talk.asked)


def test_where_nobody_answers_it_does_not_begin(server: FakeOpenAI) -> None:
    server.close()
    out, told = io.StringIO(), io.StringIO()

    assert Chat(Connection(Endpoint(server.url)), input, obey, out, told).run() == 3
    assert told.getvalue().startswith("Error: Nothing answers at")


def test_ctrl_c_at_the_prompt_sends_nothing_and_goes_on(talk: Talk) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    assert talk.say(interrupted, "hi") == 0
    assert talk.asked == [["hi"]]
    assert "Nothing was sent." in talk.told.getvalue()


# -- in a terminal


def test_ctrl_c_stops_an_answer_on_both_sides_and_the_chat_goes_on(server: FakeOpenAI) -> None:
    server.stream_id, server.script = "s1", ["a first part ", HANG]
    with chat_in_terminal(server) as terminal:
        terminal.type("hello\n")
        terminal.until("fake: a first part")
        terminal.type("\x03")
        terminal.until("Stopped.")
        server.script = whole("Still here.")
        terminal.type("again\n")
        terminal.until("fake: Still here.")
        terminal.type("\x04")

        assert terminal.left_with() == 0

    assert "/streams/s1/cancel" in server.paths
    assert [request.body["messages"][-1]["content"] for request in server.completions] == ["hello", "again"]
    assert "Traceback" not in terminal.shown
    assert "\x1b" not in terminal.shown


def test_lines_are_edited_recalled_and_completed_as_in_a_shell(server: FakeOpenAI) -> None:
    with chat_in_terminal(server) as terminal:
        terminal.type("helo\x02l\n")
        terminal.until("fake: Hello world")
        terminal.type("\x10!\n")
        until(lambda: len(server.completions) == 2, "the second question")
        terminal.type("/st\t\n")
        terminal.until("Questions in this conversation: 2.")

    assert [request.body["messages"][-1]["content"] for request in server.completions] == ["hello", "hello!"]


@contextmanager
def chat_in_terminal(server: FakeOpenAI) -> Iterator[PseudoTerminal]:
    """On a terminal that can do nothing, so that readline's own editing needs no escape sequence."""
    command = (*SLUICE, "--plain", "--url", server.url)
    with pseudo_terminal(*command, environment=environment(TERM="dumb")) as terminal:
        terminal.until("You: ")
        yield terminal
