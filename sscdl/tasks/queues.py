"""How long a queue of keys is. Imports nothing heavy: a plan counts its bytes."""

from __future__ import annotations

from sscdl.errors import InputError


def queue_length(queue: int | str, images: int, batch_size: int) -> int:
    """Return the queue's length: as given, or for ``auto`` a fifth of ``images``.

    ``auto`` rounds down to a multiple of the batch, but not below one batch. Raises InputError if
    a given length is not a positive multiple of the batch.
    """
    if queue == "auto":
        return max(1, images // 5 // batch_size) * batch_size
    if not isinstance(queue, int) or queue <= 0 or queue % batch_size:
        raise InputError(
            f"moco: queue is {queue!r}; give a multiple of the batch size {batch_size}, or auto"
        )
    return queue
