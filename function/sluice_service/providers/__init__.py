"""Where answers come from: one file for each kind of upstream, behind the Protocol in `base`.

A provider turns its upstream's bytes into `sluice_wire.events` and its upstream's failures into `SluiceError`s. It
knows no HTTP of ours, no Flask, no retries (the engine's) and no clocks but its connection's.
"""
