"""Training a run: the loop, its callbacks, checkpoints, devices."""
