"""Colours of code: no language's rules may break an answer, and the usual languages have some."""

from collections.abc import Iterator

import pytest
from pygments.lexer import RegexLexer
from pygments.lexers import find_lexer_class, get_all_lexers

from sluice_tui.rendering.highlighting import Highlighter
from tests.tui.rendering.showing import shown

# What makes lexers call others, look ahead, and keep a state: a bit of many languages, none of them right.
ODD = """\
a: 1
- "x": {b: |
    c}
<?php echo "<b>$x</b>"; ?><script>let a=`${b}`</script>
{{ x }} {% if %} @{[\\(\\foo{x} <<-EOT
  $foo = <<~EOT
  EOT
    \t\"\"\"doc \\u{1} #{a} %w(
x' /* c */ // (* y *) q{ do $$ begin select $1 as "t" $$ language plpgsql;
import 'x' ; [x](y) **b** \\end{verbatim} =begin
"""


def with_a_loop_of_their_own() -> Iterator[str]:
    """The languages whose lexers do more than follow their rules; to compile all of them would take half a minute."""
    for name, aliases, _, _ in get_all_lexers(plugins=False):
        lexer = find_lexer_class(name)
        usual = RegexLexer.get_tokens_unprocessed
        if aliases and lexer and getattr(lexer, "get_tokens_unprocessed", usual) is not usual:
            yield aliases[0]


def test_no_language_of_a_block_breaks_an_answer() -> None:
    languages = list(with_a_loop_of_their_own())
    assert {"yaml", "ruby", "postgresql", "c"} <= set(languages)
    for language in languages:
        highlighter = Highlighter(language)
        lines = ODD.splitlines() * 4

        settled = [spans for line in lines for spans in highlighter.add(line)] + highlighter.open()

        for line, spans in zip(lines, settled or [[] for _ in lines], strict=True):
            assert all(0 <= span.start < span.end <= len(line) for span in spans), language


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("yaml", "name: sluice"),
        ("ruby", "def lift = 1"),
        ("postgresql", "select 1"),
        ("terraform", 'resource "a" "b" {}'),
        ("c", "return 1;"),
        ("lua", "local x = 1"),
        ("php", "<?php echo 1;"),
    ],
)
def test_the_usual_languages_have_colours_after_many_lines_too(language: str, line: str) -> None:
    rows = shown([f"```{language}\n" + f"{line}\n" * 90 + "```\n"]).rows()

    for row in rows[1:]:
        assert {piece.style for piece in row.pieces if not piece.decoration} - {"block"}, row
