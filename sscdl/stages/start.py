"""What would end a run after hours and can be known in seconds: asked before its first job.

``python -m sscdl.stages.start`` reads from standard input, as JSON, the arguments of
:func:`refuse`, and ends with status 2 and a message where something is wrong. A process of its own,
as Snakemake's has no need of torch, and may be in an environment without it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sscdl.errors import InputError, of_key
from sscdl.training.network_facts import network_facts
from sscdl.weight_files import check_weights
from sscdl.words import many


def refuse(
    *,
    devices: int,
    backbone: dict[str, Any],
    unseen: dict[str, Any] | None,
    roots: dict[str, str | None],
    segmenter: str | None,
    published: bool,
) -> None:
    """Raise InputError for what the jobs of a run would only find out when their turn comes.

    What cannot be looked at in this environment is said, and the rest is still asked.

    Args:
        devices: the most GPUs that a job wants on this machine; 0 where that is not to be asked.
        backbone: what the network is built from.
        unseen: where nobody has looked at that network yet, the ``image_size`` that it is for and
            the ``store`` that keeps what is found; None otherwise.
        roots: file of each checkpoint that is to be brought into the store; None for torchvision's
            weights, which are downloaded, if they are not there.
        segmenter: the file of a segmenter that is to be used, None for none.
        published: whether the published lungVAE is to be downloaded.
    """
    if devices:
        with _asked(many(devices, "GPU")):
            _gpus(devices)
    name = backbone["name"]
    if unseen:
        with _asked(name):
            network_facts(backbone, unseen["image_size"], Path(unseen["store"]))
    for root, file in roots.items():
        with _asked(f"roots.{root} for {name}"), of_key(f"roots.{root}"):
            from sscdl.stages.roots import load_named
            from sscdl.training.backbones import build_backbone

            load_named(build_backbone(**backbone), root, file)
    if segmenter:
        with _asked("lungs.checkpoint.file"), of_key("lungs.checkpoint.file"):
            from sscdl.segment.networks.checkpoint import load_checkpoint

            check_weights(Path(segmenter))
            load_checkpoint(Path(segmenter))
    if published:
        with _asked("the published lungVAE"):
            from sscdl.segment.networks.published import check_reachable

            check_reachable()


@contextmanager
def _asked(what: str) -> Iterator[None]:
    """Say that ``what`` could not be looked at here, and go on; what is wrong with it is raised.

    Without torch or timm, or with broken ones: jobs may have an environment of their own, and see
    for themselves in any case.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        print(
            f"{what}: not checked before the start ({type(error).__name__}): {error}",
            file=sys.stderr,
        )


def _gpus(devices: int) -> None:
    import torch

    from sscdl.training.device import choose_device

    choose_device("cuda")
    there = torch.cuda.device_count()
    if devices > there:
        raise InputError(
            f"training.devices: {devices}, but torch sees {many(there, 'GPU')} here; use fewer "
            "devices"
        )


def main() -> int:
    """Do what the module says and return the exit status."""
    try:
        refuse(**json.load(sys.stdin))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
