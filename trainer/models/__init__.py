"""Networks, ensembles, trained models on disk, scores of spikes."""
