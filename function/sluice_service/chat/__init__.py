"""One turn, from a valid request to a running generation: who answers, with what parameters, under which clocks.

Knows agents, providers' Protocol and the engine; knows no Flask, no HTTP and no dialect's format.
"""
