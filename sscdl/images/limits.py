"""What a picture must show at least to count as a radiograph that is shown as it should be.

Needs only the standard library: the workflow's start knows these values.
"""

from __future__ import annotations

LEAST_RANGE = 0.1  # of the gray range, used by the middle 98 % of the pixels
LEAST_GRAYS = 16  # of 256
# Keys of ``ingest.accept`` that came when there were images already, and the values under which
# these are found again: they set nothing aside that is shown as it should be.
LATER_ACCEPT = {"range": LEAST_RANGE, "grays": LEAST_GRAYS}
