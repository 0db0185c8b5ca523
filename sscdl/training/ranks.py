"""One training run by several processes ("ranks"), each with its share of every batch.

Every function asks torch.distributed for the number of ranks; in a process that has joined no
others it leaves its argument as it is and communicates nothing. With the gradients averaged over
the ranks, these are the places in which a sample of one rank matters to those of another: queues
and codes (``gathered``), sums for the records (``summed``), and batch normalisation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from sscdl.errors import InputError

_BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


def join(rank: int, world: int, address: str, device: torch.device) -> None:
    """Make this process number ``rank`` of ``world``; returns once all of them have called it.

    ``address``: where they meet, the same for all: ``tcp://host:port``, or ``file:///path`` of a
    file that does not exist yet, in a folder that all ranks see. ``device``: that on which this
    rank's tensors are, with its number where it is a GPU.
    """
    one_gpu: dict[str, Any] = {}
    if device.type == "cuda":
        torch.cuda.set_device(device)
        one_gpu = {"device_id": device}
    distributed.init_process_group(
        _BACKENDS[device.type], init_method=address, rank=rank, world_size=world, **one_gpu
    )


def leave() -> None:
    """Undo ``join``, all processes at a time; nothing happens in one that has not joined."""
    if _joined():
        distributed.destroy_process_group()


def abandon() -> None:
    """Undo ``join`` after a failure: the other processes may not be there to agree to it."""
    if _joined() and distributed.get_backend() == _BACKENDS["cuda"]:
        distributed.distributed_c10d._abort_process_group()
    else:
        leave()


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _joined() else 0


def world() -> int:
    """Return the number of processes that train together, 1 for one alone."""
    return distributed.get_world_size() if _joined() else 1


def own_part(batch: int) -> slice:
    """Return this rank's share of a batch of all ranks: the first for rank 0, and so on.

    Raises InputError if the ranks' shares would differ in size.
    """
    share, rest = divmod(batch, world())
    if rest:
        raise InputError(
            f"batch_size: {batch} images cannot be shared equally by {world()} devices; "
            f"give a multiple of {world()}, or use fewer devices"
        )
    return slice(rank() * share, (rank() + 1) * share)


@torch.no_grad()
def gathered(tensor: Tensor) -> Tensor:
    """Return (world * B, ...): every rank's ``tensor`` (B, ...), in rank order, without gradient.

    All ranks must call it, with the same shape. A rank alone gets its own tensor, not a copy.
    """
    if world() == 1:
        return tensor.detach()
    whole = tensor.new_empty(world() * len(tensor), *tensor.shape[1:])
    distributed.all_gather(list(whole.chunk(world())), tensor.contiguous())
    return whole


@torch.no_grad()
def summed(tensor: Tensor) -> Tensor:
    """Return the sum of every rank's ``tensor``, the same on all of them, without gradient.

    All ranks must call it, with the same shape. A rank alone gets its own tensor, not a copy.
    """
    if world() == 1:
        return tensor.detach()
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


SHARED_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def synchronise_batchnorm(module: nn.Module) -> nn.Module:
    """Return ``module`` with each BatchNorm1d and 2d taking its statistics over all ranks.

    Parameters, buffers and state-dict keys stay as they are. Changes ``module`` itself, unless
    that is such a layer, and only where there are several ranks. Raises InputError for layers that
    normalise by batches and do more, as an activation would be lost with them.
    """
    if world() == 1:
        return module
    norms = {
        type(one) for one in module.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)
    }
    if others := sorted(one.__name__ for one in norms.difference(SHARED_NORMS)):
        raise InputError(
            f"training.devices: the network has layers that several devices cannot share "
            f"({', '.join(others)}); give devices: 1"
        )
    if next(module.parameters()).is_cuda:
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    # torch's own refuses to train on the CPU.
    return _replaced(module)


def _replaced(module: Any) -> nn.Module:
    if type(module) in SHARED_NORMS:
        return AllReduceBatchNorm(module)
    for name, child in module.named_children():
        setattr(module, name, _replaced(child))
    return module


class AllReduceBatchNorm(nn.modules.batchnorm._BatchNorm):
    """The BatchNorm1d or 2d ``layer``, over the batches of all ranks when it trains, on any device.

    Maps (B, C) or (B, C, H, W) to the same shape and memory format, with the same B on all ranks.
    Shares its parameters and buffers with ``layer``, which must have all of them and a momentum.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        if not layer.affine or not layer.track_running_stats or layer.momentum is None:
            raise ValueError(f"{layer}: needs weight, bias, running statistics and momentum")
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.weight, self.bias = layer.weight, layer.bias
        # They are there, or the layer was refused.
        self.running_mean, self.running_var = layer.running_mean, layer.running_var  # type: ignore[assignment]
        self.num_batches_tracked = layer.num_batches_tracked  # type: ignore[assignment]  # is there
        self.training = layer.training

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any: the layer that this one replaces was built for its place."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        with torch.no_grad():
            mean, variance = _statistics(input)
            count = world() * input.numel() // input.shape[1]
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        # The function is torch's, and has no types.
        return _Normalise.apply(input, self.weight, self.bias, mean, variance, self.eps)  # type: ignore[no-untyped-call]


def _axes(x: Tensor) -> tuple[list[int], list[int]]:
    """Return the axes of ``x`` besides its channels, and the shape of one number per channel."""
    return [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance (C,) over the ``x`` of all ranks, in at least float32."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = torch.var_mean(x, dim=_axes(x)[0], correction=0)
    # The variance of the whole is that within the parts plus that between them: as precise as two
    # passes over all data, in one exchange. A mean of squares less a squared mean would cancel.
    means, variances = gathered(torch.stack([mean, variance])[None]).unbind(dim=1)
    return means.mean(dim=0), variances.mean(dim=0) + means.var(dim=0, correction=0)


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, for statistics over all ranks' x.

    The gradient of x counts what x does, through the statistics, to the losses of all ranks. Those
    of weight and bias are this rank's alone: the ranks' gradients are averaged with all others.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor,
        eps: float,
    ) -> Tensor:  # fmt: skip
        scale = torch.rsqrt(variance + eps)
        ctx.save_for_backward(x, weight, mean, scale)
        return F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        axes, shape = _axes(x)
        # Promotes 16-bit x and gradients to the type of the statistics.
        unit = (x - mean.view(shape)) * scale.view(shape)
        slope = grad.to(unit.dtype)
        by_weight, by_bias = (slope * unit).sum(axes), slope.sum(axes)
        count = world() * x.numel() // x.shape[1]
        along, level = (summed(torch.stack([by_weight, by_bias])) / count).unbind()
        by_x = (slope - level.view(shape) - unit * along.view(shape)) * (weight * scale).view(shape)
        return by_x.to(x.dtype), by_weight, by_bias, None, None, None
