"""What Beam's workers do."""
