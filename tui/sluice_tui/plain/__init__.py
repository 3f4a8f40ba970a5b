"""The plain face: text as it comes, for pipes, for programs, for screen readers and for the terminal's own scrollback.

It never writes an escape sequence: no colours, so that NO_COLOR has nothing to forbid, no spinner and no cursor. Answers
go to standard output, everything else to standard error.
"""
