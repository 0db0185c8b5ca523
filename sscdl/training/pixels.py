"""Images for training: held by the device that trains where they fit, and streamed to it if not."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

LOGGER = logging.getLogger("sscdl.train")
SHARE_OF_MEMORY = 0.5  # of a device's free memory that images may take
AHEAD = 3  # batches that are read before they are needed


def place(pixels: Tensor, device: torch.device, copies: int = 1) -> Tensor:
    """Return uint8 images (N, S, S) on ``device`` if they take up to half of its free memory.

    Otherwise they stay in main memory, or in the file that backs them, and ``batches`` streams
    them. On the CPU nothing is copied: a memory-mapped array is read as batches need it.
    ``copies``: how many processes put them on the device, each its own.
    """
    if device.type != "cuda":
        return pixels
    free, _ = torch.cuda.mem_get_info(device)
    if copies * pixels.nbytes > SHARE_OF_MEMORY * free:
        LOGGER.info(
            "%.1f GB of images are streamed, as %s has %.1f GB free",
            pixels.nbytes / 1e9, device, free / 1e9,
        )  # fmt: skip
        return pixels
    return pixels.to(device)


def batches(
    pixels: Tensor, parts: list[Tensor], device: torch.device
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yield (rows, images) for each of ``parts``, rows (B,) long of ``pixels`` (N, S, S) uint8.

    Both are on ``device``, images as (B, 1, S, S). Where ``pixels`` is elsewhere, a thread reads
    batches ahead, so that the device computes meanwhile.
    """
    if not parts:  # of a small validation set, a rank may have none
        return
    if _is_there(pixels, device):
        # All row numbers at once: a copy from the host at every step would hold up both sides.
        for rows in torch.cat(parts).to(device).split([len(part) for part in parts]):
            yield rows, pixels[rows][:, None]
        return
    pinned = device.type == "cuda"

    def read(rows: Tensor) -> Tensor:
        images = pixels[rows][:, None]
        return images.pin_memory() if pinned else images

    with ThreadPoolExecutor(1) as reader:
        waiting = deque((part, reader.submit(read, part)) for part in parts[:AHEAD])
        for number in range(len(parts)):
            part, images = waiting.popleft()
            if number + AHEAD < len(parts):
                following = parts[number + AHEAD]
                waiting.append((following, reader.submit(read, following)))
            yield (
                part.to(device, non_blocking=True),
                images.result().to(device, non_blocking=True),
            )


def _is_there(pixels: Tensor, device: torch.device) -> bool:
    # "cuda" means whichever GPU is the current one.
    return pixels.device.type == device.type and device.index in (None, pixels.device.index)
