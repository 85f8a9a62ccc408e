"""Recordings in, fixed-length TFRecord shards out: readers, detection, synthesis and the Beam job.

Importing this package imports neither Apache Beam nor TensorFlow.
"""

__version__ = '0.1.0'
