"""The screens: each arranges widgets and holds what happens between them, the session and the connection."""
