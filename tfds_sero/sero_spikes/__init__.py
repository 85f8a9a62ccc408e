"""The sero_spikes dataset."""
