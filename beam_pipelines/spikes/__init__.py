"""Finds spikes and noise masks in sweeps, and measures waveform features."""
