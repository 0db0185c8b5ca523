"""Measure how fast this machine trains the tasks of a study, for the estimates of its plan.

python -m sscdl rate --configfile FILE ... [--config KEY=VALUE ...] [--store FOLDER] [--seconds N]

Each task trains for some steps on random images, with the study's network, image size, batch size
and precision. Rates are kept in the store, in rates.json, beside those of other machines.
"""

from __future__ import annotations

import importlib
import logging
import platform
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sscdl.command_line import command_parser
from sscdl.errors import DamagedFile
from sscdl.files import write_json
from sscdl.planning.estimates import RATES, entry_key, read_rates
from sscdl.records import set_aside
from sscdl.store.store import Store
from sscdl.study.reading import add_arguments, read_config
from sscdl.study.trie import final_task, preset_curricula, split_curriculum
from sscdl.training.network_names import network_of
from sscdl.training.schedule import Schedule

MOST_STEPS = 200


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = command_parser(__doc__, "rate")
    add_arguments(parser)
    parser.add_argument("--store", type=Path, help="the store; the configuration's if not given")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="time for each task, about (default 10)"
    )
    options = parser.parse_args(arguments)
    logging.getLogger("sscdl").setLevel(logging.WARNING)
    config = read_config(options.configfile, options.config)
    store = options.store or Path(config["store"])
    for task in tasks(config):
        entry = measure(task, config, options.seconds)
        remember(store, [entry])
        print(
            f"{task:9} {entry['images_per_second']:,.1f} images/s  batch {entry['batch_size']}  "
            f"{entry['backbone']} at {entry['image_size']} px  {entry['device_name']}",
            flush=True,
        )
    print(f"kept in {store / RATES}")
    return 0


def tasks(config: dict[str, Any]) -> list[str]:
    """Return the tasks of a study, in the order in which its curricula have them."""
    given = config["curricula"]
    names = preset_curricula(given) if isinstance(given, str) else given
    roots = {"imagenet", *config["roots"]}
    found = [task for name in names for task in split_curriculum(name, roots)[1]]
    return list(dict.fromkeys([*found, final_task(config)]))


def measure(task: str, config: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Return the entry of rates.json for ``task``, measured for about so many seconds.

    The steps are those of a real run. A first run of a few steps warms up and tells how many fit.
    """
    torch = importlib.import_module("torch")
    device_module = importlib.import_module("sscdl.training.device")
    training, backbone = config["training"], config["backbone"]
    torch.set_num_threads(training["threads"])
    with device_module.lease(training["device"], 1) as (name,):
        device = torch.device(name)
        step = _seconds_a_step(task, config, device, 2)
        steps = max(2, min(MOST_STEPS, round(seconds / 2 / step)))
        batch = config["stages"][task]["batch_size"]
        rate = batch / _seconds_a_step(task, config, device, steps)
        shown = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "task": task,
        "backbone": backbone["name"],
        "last_stage": backbone["last_stage"],
        "image_size": config["image"]["size"],
        "batch_size": batch,
        "precision": training["precision"],
        "device": device.type,
        "device_name": shown,
        "threads": training["threads"],
        "torch": torch.__version__,
        "images_per_second": round(rate, 1),
        "steps": steps,
    }


def _seconds_a_step(task: str, config: dict[str, Any], device: Any, steps: int) -> float:
    """Return the seconds that a step takes in the second of two epochs of ``steps`` each."""
    torch = importlib.import_module("torch")
    train = importlib.import_module("sscdl.training.loop")
    pixels = importlib.import_module("sscdl.training.pixels")
    backbones = importlib.import_module("sscdl.training.backbones")
    registry = importlib.import_module("sscdl.tasks")
    settings, image = config["stages"][task], config["image"]
    batch, classes = settings["batch_size"], len(config["findings"] or config["classes"])
    rows = torch.arange(batch * steps)
    shape = (len(rows), image["packed"], image["packed"])
    torch.manual_seed(0)
    array = torch.randint(0, 256, shape, dtype=torch.uint8)
    network = registry.build_task(
        task,
        backbones.build_backbone(**network_of(config["backbone"], image["size"])),
        options=settings["options"],
        image_size=image["size"],
        images=len(rows),
        mean=0.5,
        std=0.3,
        batch_size=batch,
        patients=rows,
        labels=registry.stand_in_labels(task, rows, classes),
        classes=classes,
        training_rows=rows,
    ).to(device, memory_format=torch.channels_last)
    # Two epochs; and the loss must stay finite, or the run would end early.
    short = {**settings, "search_epochs": 2, "final_epochs": 0, "warmup_epochs": 0}
    schedule = Schedule.of(short, 1e-4)
    with tempfile.TemporaryDirectory() as folder:
        history = train.train(
            network,
            train.Images(pixels.place(array, device), rows, None),
            schedule,
            start=0,
            stop=2,
            seed=0,
            state=Path(folder) / "state.pt",
            fingerprint="rate",
            precision=config["training"]["precision"],
        )
    return batch / history[-1]["images_per_second"]


def _processor() -> str:
    """Return the name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def remember(store: Path, entries: Iterable[dict[str, Any]]) -> None:
    """Put measured rates into the store; those of the same machine and version are replaced."""
    with Store(store).lock("rates"):
        try:
            known = {_identity(entry): entry for entry in read_rates(store)}
        except DamagedFile:
            set_aside(store / RATES)
            known = {}
        for entry in entries:
            known.pop(_identity(entry), None)  # the newest comes last
            known[_identity(entry)] = entry
        write_json(store / RATES, list(known.values()))


def _identity(entry: dict[str, Any]) -> tuple[Any, ...]:
    return (*entry_key(entry), entry["torch"], entry["device_name"])
