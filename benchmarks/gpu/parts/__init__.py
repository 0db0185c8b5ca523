"""What is measured: one module a part, each run in a process of its own.

A part has ``cases(sizes)``, the names of what it measures, most valuable first, and
``run(case, sizes, known)``, which returns the figures of one; ``known`` are the records of all that
was measured before.
"""
