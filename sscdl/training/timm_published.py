"""Names of timm's networks, and of the weights that it publishes for them."""

from __future__ import annotations

import difflib

# isort: split
from sscdl._torchvision import torchvision  # noqa: F401  first, as timm imports it

# isort: split
import timm

from sscdl.errors import InputError

_IMAGENET = "in1k"  # in the tag of weights whose last training was on ImageNet's 1,000 classes
# Libraries whose exceptions are of a download.
_DOWNLOADING = {"http", "httpcore", "httpx", "httpx2", "huggingface_hub", "requests", "urllib3"}
_OWN_FILE = "give roots.imagenet a weights file{}, or drop imagenet from the curricula"


def check_name(name: str) -> None:
    """Raise InputError for a name, or for the tag of its weights, that timm does not know."""
    network, dot, tag = name.partition(".")
    if not timm.is_model(network):
        near = difflib.get_close_matches(network, timm.list_models(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "timm.list_models() lists them"
        raise InputError(
            f"backbone.name: neither torchvision's networks nor timm {timm.__version__} have "
            f"{name!r}; {hint}"
        )
    known = list(timm.models.get_arch_pretrained_cfgs(network))
    if dot and name not in known:
        near = difflib.get_close_matches(name, known, n=3) or known[:3]
        hint = f"did you mean {' or '.join(near)}?" if near else f"give {network} alone"
        raise InputError(
            f"backbone.name: timm {timm.__version__} has {network}, but no weights of it that are "
            f"called {tag!r}; {hint}"
        )


def check_imagenet(name: str) -> None:
    """Raise InputError unless timm publishes weights for ``name``, and ImageNet's."""
    about = timm.models.get_pretrained_cfg(name)
    if about is None or not about.has_weights:
        raise InputError(
            f"roots.imagenet: timm publishes no weights of {name}; {_OWN_FILE.format('')}"
        )
    tag = about.tag or "without a tag"
    if _IMAGENET not in tag.split("_"):
        network = name.partition(".")[0]
        known = timm.models.get_arch_pretrained_cfgs(network)
        others = [
            one
            for one, other in known.items()
            if other.has_weights and _IMAGENET in (other.tag or "").split("_")
        ]
        also = f"take {others[0]}, whose are, " if others else ""
        raise InputError(
            f"roots.imagenet: timm's published weights of {name} ({tag}) are not ImageNet's, which "
            f"have {_IMAGENET} in their tag; {also}or give them as a root of their own, with "
            "roots.<name>.file"
        )


def not_to_be_had(name: str, error: Exception) -> InputError:
    """Return what says that the weights of ``name`` could not be loaded because of ``error``."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _DOWNLOADING:
        again = ", run once on a machine with internet access and the same HF_HOME"
        return InputError(
            f"roots.imagenet: timm's published weights of {name} could not be had ({reason}); "
            f"{_OWN_FILE.format(again)}"
        )
    return InputError(
        f"roots.imagenet: timm's published weights of {name} could not be brought into the "
        f"network ({reason}); {_OWN_FILE.format('')}"
    )
