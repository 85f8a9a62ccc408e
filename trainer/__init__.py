"""Input pipeline, models, training, evaluation and verdicts.

Importing this package imports neither Apache Beam nor TensorFlow.
"""
