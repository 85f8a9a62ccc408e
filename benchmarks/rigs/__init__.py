"""What rigs do to recordings, for ``benchmarks.rig_faults``."""
