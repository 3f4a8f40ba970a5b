"""What the terminal is told to do: options, the environment and a file of profiles, and where each value came from.

`settings` lists what there is, `file` reads and checks config.toml, `effective` decides which value counts. Nothing here
knows a screen or a server, and nothing here imports more than the standard library and platformdirs.
"""
