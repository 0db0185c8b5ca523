"""An accelerator without hardware: tensors that claim a device of their own and compute on the CPU.

What a GPU would refuse is refused (tensors of two devices in one operation), and what would make
the host wait for it is noted: reading a value, shapes that depend on values, copies that block.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

NAME = "apart"
# The host must know what the device has computed before these can return.
READS = {
    "_local_scalar_dense", "nonzero", "masked_select", "bincount", "_unique2", "unique_dim",
    "unique_consecutive", "equal", "is_nonzero", "repeat_interleave",
}  # fmt: skip


class Apart(Tensor):
    """A tensor on the device; ``inner`` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> Apart:
        made = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=f"{NAME}:0", requires_grad=requires_grad,
        )  # fmt: skip
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    def tolist(self) -> Any:
        return self.to("cpu").tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with _Device([]):
            return func(*args, **(kwargs or {}))


class _Device(TorchDispatchMode):
    """Runs operations on such tensors; ``waits`` takes what made the host wait, and where."""

    def __init__(self, waits: list[str]) -> None:
        super().__init__()
        self._waits = waits

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = [tensor for tensor in tensors if isinstance(tensor, Apart)]
        wanted = kwargs.get("device")
        to_device = wanted is not None and torch.device(wanted).type == NAME
        if not here and not to_device:
            return func(*args, **kwargs)
        copies = name in ("_to_copy", "copy_")
        # Numbers without dimensions pass to kernels by value.
        strangers = [t for t in tensors if not isinstance(t, Apart) and t.ndim > 0]
        if strangers and here and not copies:
            raise RuntimeError(f"{name}: tensors on {NAME} and on the CPU")
        masks = name in ("index", "index_put_", "index_put") and any(
            t.dtype in (torch.bool, torch.uint8) for t in tree_leaves(args[1]) if t is not None
        )
        crosses = copies and _crosses(name, args, here, wanted)
        if name in READS or masks or (crosses and not _passes_by(name, args, kwargs)):
            self._waits.append(f"{name} in {_place()}")
        if wanted is not None:
            kwargs["device"] = torch.device("cpu")
        found = func(*tree_map(_bare, args), **tree_map(_bare, kwargs))
        if wanted is not None and not to_device:
            return found.clone() if name == "_to_copy" else found
        return _returned(func, args, kwargs, found)


def _crosses(name: str, args: Any, here: list[Any], wanted: Any) -> bool:
    """Return whether a copy goes from one device to the other."""
    if name == "copy_":
        return isinstance(args[0], Apart) != isinstance(args[1], Apart)
    return wanted is not None and (torch.device(wanted).type == NAME) != bool(here)


def _passes_by(name: str, args: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether a copy to the device lets the host go on."""
    return bool(kwargs.get("non_blocking") or (name == "copy_" and args[2:] and args[2]))


def _place() -> str:
    """Return the function of the package, and its line, that the present operation is part of."""
    frames = [f for f in traceback.extract_stack() if "/sscdl/" in f.filename]
    return f"{frames[-1].name}: {frames[-1].line}" if frames else "no function of the package"


def _bare(value: Any) -> Any:
    return value.inner if isinstance(value, Apart) else value


def _returned(func: Any, args: Any, kwargs: Any, found: Any) -> Any:
    """Return ``found`` on the device; what was changed in place is the tensor that was given."""
    given = {
        id(leaf.inner): leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Apart)
    }

    def wrapped(value: Any) -> Any:
        return given.get(id(value), Apart(value)) if isinstance(value, Tensor) else value

    return tree_map(wrapped, found)


class _Module(backend_registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


@contextmanager
def accelerator() -> Iterator[list[str]]:
    """Add the device ``apart`` to this process, for good, and yield the list of waits to come."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=_Module())
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    waits: list[str] = []
    with _Device(waits):
        yield waits
