"""The commands of `sluice`, one module each: `add` puts its options into the parser, `run` does it.

They import what they need when they run, so that `--help` and completion cost nothing.
"""
