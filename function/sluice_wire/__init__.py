"""What crosses the wire, shared by the function and the terminal.

Lives here: Server-Sent Events in both directions, OpenAI's chunks as typed events, and the one list of error codes.
Anyone may import it; it imports the standard library alone, does no I/O and keeps no global state.
"""
