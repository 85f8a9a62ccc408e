"""Turns recordings into fixed-length TFRecord shards: readers, spike detection, synthesis and the Beam job.

Importing this package imports neither Apache Beam nor TensorFlow.
"""

__version__ = '0.1.0'
