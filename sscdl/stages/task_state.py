"""What a task has beside its backbone when a stage ends: heads, queues, prototypes, key networks.

Kept beside the weights for whoever wants to look at the task itself, or to go on with it. No later
stage reads it, so that a store is as good without.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from sscdl.errors import InputError
from sscdl.files import atomic_path

_BACKBONE = "backbone."


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """Write ``tensors`` as a safetensors file, the same bytes for the same tensors.

    Returns what tells whether the file is whole: its size ("bytes") and "sha256".
    """
    # Copies: no two tensors of a file may share memory, and each lies in it as its shape says.
    kept = {k: t.detach().to("cpu", copy=True).contiguous() for k, t in tensors.items()}
    # One entry alone: safetensors writes several in an order that changes from run to run. It
    # orders tensors by itself, by type and name.
    content = save(kept, metadata={"format": "pt"})
    with atomic_path(path) as temporary:
        # Not by safetensors, whose errors do not tell a full disk from others.
        temporary.write_bytes(content)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def own_state(task: nn.Module) -> dict[str, Tensor]:
    """Return the state of ``task`` but for its backbone, by the names that its state dict has."""
    return {k: t for k, t in task.state_dict().items() if not k.startswith(_BACKBONE)}


def load_task_state(task: nn.Module, path: str | Path) -> None:
    """Load the file ``task.safetensors`` of a stage into ``task``, all but its backbone.

    ``task`` must have been built as that stage's was: same task, network, options and number of
    images. Raises InputError, naming tensors, if anything is missing, unknown, or of another shape
    or type; ``task`` then stays as it was.
    """
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: cannot be read as the state of a task ({error}); stages that were trained "
            "before it was kept have none, and prune --task-state deletes it"
        ) from None
    own = own_state(task)
    common = own.keys() & found.keys()
    problems = {
        "missing": own.keys() - found.keys(),
        "unknown": found.keys() - own.keys(),
        "of another shape": {k for k in common if own[k].shape != found[k].shape},
        "of another type": {k for k in common if own[k].dtype != found[k].dtype},
    }
    text = "; ".join(
        f"{len(names)} {what}: {', '.join(sorted(names)[:3])}{', …' if len(names) > 3 else ''}"
        for what, names in problems.items()
        if names
    )
    if text:
        raise InputError(
            f"{path}: is no state of this task ({text}); build it with the task, network, options "
            "and number of images that lineage.json beside it tells"
        )
    # By way of the module and not tensor by tensor: a task may have to take note of it.
    task.load_state_dict(found, strict=False)
