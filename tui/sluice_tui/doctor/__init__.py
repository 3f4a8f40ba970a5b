"""What `sluice doctor` examines: each module yields `Check`s and prints nothing. It knows no face."""
