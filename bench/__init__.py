"""The benchmark: what a gateway between a client and a model costs. `python -m bench --help`; README.md says how to read it.

`programs/` are the two programs in C that tell and ask; everything else starts, pins, counts and prints.
"""
