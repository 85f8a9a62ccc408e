"""Models to pass on: one folder and one archive with a model card."""
