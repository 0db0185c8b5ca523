"""From a radiograph to what a network reads, and from its answer to a lung mask."""
