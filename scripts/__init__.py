"""Programs for those who work on sero-spikes; they are not installed with it."""
