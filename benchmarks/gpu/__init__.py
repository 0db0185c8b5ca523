"""All that only a GPU can show, by one command: ``python -m benchmarks.gpu`` (docs/gpu.md)."""
