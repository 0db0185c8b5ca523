"""What finished networks are worth: predictions, attention, probes, metrics."""
