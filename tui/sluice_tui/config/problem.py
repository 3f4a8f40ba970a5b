"""What is wrong with the settings."""


class ConfigError(Exception):
    """What is set cannot be used; the message has one line for each problem, each with its place and what to do."""
