"""What rounded weights gain and cost."""
