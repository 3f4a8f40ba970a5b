"""What one user may have: so many streams at once, so many messages an hour. One file for each place to count in.

An adapter stands behind the Protocol in `base`. It knows no HTTP and no turn; `app.py` chooses it, and only new turns
come here: a resumed stream and a repeated request are free.
"""
