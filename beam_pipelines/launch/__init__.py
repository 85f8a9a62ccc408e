"""What the launching process does before, during and after the job."""
