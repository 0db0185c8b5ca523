"""What this machine is, and how fast its device multiplies matrices and copies."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
from typing import Any

import torch

from benchmarks.gpu.sizes import NotHere, Sizes
from benchmarks.gpu.work import seconds_a_call
from benchmarks.training_speed import matrix_rate


def cases(sizes: Sizes) -> list[str]:
    """Return the names of what is asked."""
    return ["facts", "rates"]


def run(case: str, sizes: Sizes, known: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what is said of the device."""
    cuda = sizes.device == "cuda"
    if case == "rates":
        if not cuda:
            raise NotHere("these rates are a GPU's")
        return _rates()
    wanted = ("timm", "tensorboardX", "snakemake", "pydicom", "triton", "cv2")
    found = {
        "name": torch.cuda.get_device_name(0) if cuda else platform.machine(),
        "gpus": torch.cuda.device_count() if cuda else 0,
        "torch": torch.__version__,
        "packages": [name for name in wanted if importlib.util.find_spec(name)],
        "cores": os.cpu_count(),
    }
    if cuda:
        properties = torch.cuda.get_device_properties(0)
        found |= {
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "driver": _driver(),
        }
    return found


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    try:
        return subprocess.run(command, text=True, capture_output=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _rates() -> dict[str, Any]:
    device = torch.device("cuda:0")
    source = torch.empty(2**30, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = seconds_a_call(lambda: target.copy_(source), device, 0.2)
    return {
        "bf16_tflops": round(matrix_rate(device), 1),
        "copy_tb_per_second": round(2 * source.nbytes / copied / 1e12, 2),
    }
