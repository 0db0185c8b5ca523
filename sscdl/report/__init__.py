"""The first page of a report: what was run, what came out, and how to read it."""
