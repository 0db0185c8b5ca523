"""This project's lungVAE against recordings of the original: what differs by how much.

The recordings are numbers and pictures that the unmodified original made with random weights; their
folder is described by its own README.md. Each function compares one group of them, with what the
program itself calls, and yields the largest deviation of each quantity beside its tolerance.
"""

from __future__ import annotations

import io
import json
import lzma
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from sscdl.segment.networks.checkpoint import load_checkpoint
from sscdl.segment.networks.uvae import UVAE
from sscdl.segment.processing.preprocess import preprocess
from sscdl.segment.processing.reading import read_values
from sscdl.segment.training.published import make_optimiser, train_step
from tests.unit.golden_pictures import (
    Deviation,
    apart,
    augmentation,
    dicom,
    post_processing,
    preprocessing,
)

TINY = {"latent": 3, "channels": 4, "height": 192, "width": 128}
TINY_CASES = (
    "vae_train_mean",
    "vae_train_eps",
    "vae_eval_mean",
    "vae_eval_eps",
    "unet_train_none",
    "unet_eval_none",
)
DEFAULTS = {"default_vae": {}, "default_unet_hid24": {"channels": 24, "unet": True}}
# The recorded gradients of the variational network are up to 2e-3 away from those computed in
# double precision, ours up to 6e-4.
GRADIENTS = 5e-3


def tiny(golden: Path, kind: str) -> UVAE:
    """Return the recorded tiny network; ``kind`` is ``vae`` or ``unet``."""
    network = UVAE(**TINY, unet=kind == "unet", per_image=False)
    network.load_state_dict(torch.load(golden / f"ckpt/tiny_{kind}.pt", weights_only=True))
    return network


def tiny_input(golden: Path) -> torch.Tensor:
    """Return the images (2, 1, 192, 128) of the tiny networks."""
    return torch.from_numpy(np.load(golden / "tiny/input.npz")["x"])


def full_size_state(golden: Path, name: str) -> dict[str, torch.Tensor]:
    """Return a recorded 640 x 512 network's state dict, in the old format with GPU tags."""
    packed = lzma.decompress((golden / f"ckpt/{name}.pt.xz").read_bytes())
    return torch.load(io.BytesIO(packed), map_location="cpu", weights_only=True)


def checkpoints(golden: Path) -> Iterator[Deviation]:
    """Compare names, order, shapes and numbers of parameters, and what loading a file gives."""
    about = json.loads((golden / "meta.json").read_text())
    for name, arguments in DEFAULTS.items():
        keys = json.loads((golden / f"ckpt/{name}_keys.json").read_text())
        network = UVAE(**arguments)
        ours = [(k, [list(v.shape), str(v.dtype)]) for k, v in network.state_dict().items()]
        unlike = sum(a != b for a, b in zip(ours, keys.items(), strict=True))
        yield Deviation("ckpt", f"{name}: keys, order, shapes, types", unlike, 0)
        number = sum(parameter.numel() for parameter in network.parameters())
        missing = abs(number - about[f"{name}_ckpt"]["params"])
        yield Deviation("ckpt", f"{name}: number of parameters", missing, 0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "lungVAE.pt")
            path.write_bytes(lzma.decompress((golden / f"ckpt/{name}.pt.xz").read_bytes()))
            loaded = load_checkpoint(path)[0].state_dict()
        largest = max(apart(loaded[k], v) for k, v in full_size_state(golden, name).items())
        yield Deviation("ckpt", f"{name}: weights as loaded", largest, 0)


def tiny_networks(golden: Path) -> Iterator[Deviation]:
    """Compare logits, KL, latent variables, all intermediate maps and the buffers afterwards."""
    x = tiny_input(golden)
    for case in TINY_CASES:
        kind, mode, _ = case.split("_")
        expected = np.load(golden / f"tiny/tiny_{case}.npz")
        network = tiny(golden, kind).train(mode == "train")
        seen: dict[str, torch.Tensor] = {}
        for name, child in network.named_children():
            child.register_forward_hook(
                lambda _m, _i, out, name=name, seen=seen: seen.update({name: out})
            )
        eps = torch.from_numpy(expected["eps"]) if "eps" in expected else None
        with torch.no_grad():
            logits, kl = network(x, eps)
        state = network.state_dict()
        yield Deviation("tiny", f"{case}: logits", apart(logits, expected["logits"]), 1e-3)
        if kind == "vae":
            relative = abs(float(kl) / float(expected["kl"]) - 1.0)
            yield Deviation("tiny", f"{case}: KL (relative)", relative, 1e-4)
            with torch.no_grad():
                mean, sigma = tiny(golden, kind).train(mode == "train").posterior(x)
            latents = [apart(mean, expected["mu"]), apart(sigma, expected["sigma"])]
            latents.append(apart(mean + sigma * eps, expected["z"]))
            yield Deviation("tiny", f"{case}: mean, sigma, z", max(latents), 1e-3)
        else:
            yield Deviation("tiny", f"{case}: KL", abs(float(kl)), 0)
        maps = [
            apart(_thinned(seen, key.removeprefix("out_")), expected[key])
            for key in expected.files
            if key.startswith("out_")
        ]
        if maps:
            yield Deviation("tiny", f"{case}: {len(maps)} maps", max(maps), 1e-3)
        buffers = [
            apart(state[key.removeprefix("after_")], expected[key])
            for key in expected.files
            if key.startswith("after_")
        ]
        if buffers:
            yield Deviation("tiny", f"{case}: {len(buffers)} buffers after", max(buffers), 1e-5)


def full_size_networks(golden: Path) -> Iterator[Deviation]:
    """Compare what is recorded of the logits of the 640 x 512 networks: moments and positives.

    ``train`` is the original's way of predicting, which here is normalisation by each image.
    """
    about = json.loads((golden / "meta.json").read_text())
    for name, arguments in DEFAULTS.items():
        state = full_size_state(golden, name)
        for key, expected in about.items():
            if not key.startswith(f"{name}_") or key.endswith("_ckpt"):
                continue
            image, mode, latent = key.removeprefix(f"{name}_").rsplit("_", 2)
            network = UVAE(**arguments, per_image=mode == "train").eval()
            network.load_state_dict(state)
            field, _ = preprocess(read_values(golden / f"images/{image}.png"))
            with torch.no_grad():
                logits, kl = network(torch.from_numpy(field)[None, None], _recorded_eps(latent))
            moments = {
                "mean": float(logits.mean()),
                "std": float(logits.std()),
                "pos": float((logits > 0).float().mean()),
            }
            largest = max(abs(value - expected[what]) for what, value in moments.items())
            yield Deviation("full size", f"{key}: mean, std, positives", largest, 1e-4)
            relative = abs(float(kl) - expected["kl"]) / max(expected["kl"], 1e-9)
            yield Deviation("full size", f"{key}: KL (relative)", relative, 1e-4)


def _recorded_eps(latent: str) -> torch.Tensor | None:
    """Return the noise (1, 8) of a recording at full size, which is given by a seed."""
    if latent == "seed123":
        return torch.randn(1, 8, generator=torch.Generator().manual_seed(123))
    if latent == "eps":
        return torch.from_numpy(np.random.RandomState(12).standard_normal((1, 8))).float()
    return None


def training_steps(golden: Path) -> Iterator[Deviation]:
    """Compare three steps of the published recipe: losses, gradients and state."""
    x = tiny_input(golden)
    for kind in ("vae", "unet"):
        expected = np.load(golden / f"train/tiny_{kind}_steps.npz")
        network = tiny(golden, kind).train()
        optimiser = make_optimiser(network)
        target = torch.from_numpy(expected["target"])
        eps = torch.from_numpy(expected["eps"]) if kind == "vae" else None
        losses, gradients, norms = [], [], []
        for number in range(3):
            entropy, kl = train_step(network, optimiser, x, target, eps)
            terms = {"loss": entropy + kl, "rec": entropy, "kl": kl * len(x)}
            losses += [_relative(v, expected[f"{name}{number}"]) for name, v in terms.items()]
            if number == 0:
                parameters = dict(network.named_parameters())
                gradients = [
                    _relative(parameter.grad, expected[f"grad_{name}"])
                    for name, parameter in parameters.items()
                    if f"grad_{name}" in expected
                ]
                # Gradients of 1e-6 of the largest are nothing but rounding.
                least = 1e-6 * expected["gradnorm"].max()
                norms = [
                    abs(float(parameters[str(name)].grad.norm()) / float(norm[0]) - 1.0)
                    for name, norm in zip(
                        expected["gradnorm_names"], expected["gradnorm"], strict=True
                    )
                    if norm[0] > least
                ]
        state = network.state_dict()
        after = [
            _relative(state[key.removeprefix("after3_")], expected[key])
            for key in expected.files
            if key.startswith("after3_")
        ]
        yield Deviation("train", f"{kind}: losses of 3 steps (relative)", max(losses), 1e-3)
        yield Deviation(
            "train", f"{kind}: {len(gradients)} gradients (relative)", max(gradients), GRADIENTS
        )
        yield Deviation(
            "train", f"{kind}: {len(norms)} norms of gradients (relative)", max(norms), GRADIENTS
        )
        yield Deviation("train", f"{kind}: state after 3 steps (relative)", max(after), 1e-3)


GROUPS: dict[str, Callable[[Path], Iterator[Deviation]]] = {
    "ckpt": checkpoints,
    "preprocess": preprocessing,
    "dicom": dicom,
    "tiny": tiny_networks,
    "full size": full_size_networks,
    "post": post_processing,
    "train": training_steps,
    "aug": augmentation,
}


def _thinned(seen: dict[str, torch.Tensor], key: str) -> torch.Tensor:
    """Return the map ``<name>`` or every n-th pixel of it, ``<name>_s<n>``."""
    name, _, step = key.partition("_s")
    return seen[name][:, :, :: int(step), :: int(step)] if step else seen[name]


def _relative(ours: torch.Tensor, theirs: np.ndarray) -> float:
    """Return the largest difference as a share of the largest recorded value (0 of zeros)."""
    theirs = np.asarray(theirs, dtype=np.float64).reshape(tuple(ours.shape))
    return apart(ours, theirs) / max(float(np.abs(theirs).max()), 1e-12)
