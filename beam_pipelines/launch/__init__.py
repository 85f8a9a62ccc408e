"""The launching process: what it does before, during and after the job."""
