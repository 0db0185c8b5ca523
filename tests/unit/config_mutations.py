"""Seeded ways of spoiling a configuration: what people mistype, and what nobody would type.

A mutant is a function of a seed and its number alone, so that any of them can be made again.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from safetensors.numpy import save_file

from sscdl.phantom.archive import write_archive
from tests.conftest import ROOT

Place = tuple[str | int, ...]
_OTHERS: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1.5, "", " ", "x", "1", "yes", [], {}, [[]], [None],
    [1, "a"], {"a": 1}, {"": None}, [{"x": []}],
)  # fmt: skip
_EXTREMES: tuple[Any, ...] = (
    10**9, -(10**9), 2**63, 10**40, 1e-300, 1e300, float("nan"), float("inf"), -float("inf"),
    "a" * 5000, "../../../etc/passwd", "/dev/null", "a/b", "a+b", "{x}", "$HOME", "~", "*", "\0",
    "\N{SNOWMAN}", "a\nb", "-", ".", "..", "None", "nan", "0x10", "\u202e", ["x"] * 300,
    list(range(300)), "(", "[", "(a+)+$",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A configuration's text, what was done to it, and the keys that it was done to."""

    text: str
    kind: str
    key: str


def configurations(folder: Path) -> list[dict[str, Any]]:
    """Return valid configurations of all layouts, on small archives that are made in ``folder``."""
    siim, table, masks = folder / "siim", folder / "table", folder / "masks"
    classes = {"negative": 0.5, "typical": 0.3, "atypical": 0.2}
    write_archive(siim, patients=12, size=64, seed=0, classes=classes)
    _write_table(table)
    masks.mkdir()
    for path in (siim / "truth/masks").iterdir():
        (masks / path.name).write_bytes(path.read_bytes())
    found = [_shipped("demo"), _shipped("nih-siim-quick"), _shipped("nih-chestxray14")]
    weights = folder / "weights.safetensors"
    save_file({"conv1.weight": np.zeros((64, 3, 7, 7), np.float32)}, weights)
    for config in found:
        config["roots"] = {"mine": {"file": str(weights)}}
    found[1]["dataset"] |= {"siim": {"root": str(siim)}}
    found[1]["lungs"] = {"source": "masks", "masks": {"folder": str(masks)}}
    found[1]["learning_rate_rules"] = [{"variants": ["full"], "tasks": [1], "values": [0.1]}]
    found[2]["dataset"]["table"]["root"] = str(table)
    found[2]["pretraining_dataset"] = {"layout": "siim", "siim": {"root": str(siim)}}
    found[2]["curricula"].remove("imagenet")  # its weights are downloaded
    found[2]["lungs"] = {"source": "masks", "masks": {"folder": str(masks)}}
    found[0]["split"] = {"val": 0.2, "near_duplicates": "aside"}
    found[0]["results"] = {"margin": 3, "random_networks": 4, "cross_variants": True}
    found[0]["ingest"] = {"accept": {"view": ["PA", "AP"]}, "rendering": {"percentiles": [1, 99]}}
    return found


def _shipped(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())


def _write_table(root: Path) -> None:
    root.mkdir()
    lines = ["Image Index,Finding Labels,Patient ID,Patient Gender,Patient Age,View Position"]
    for number in range(24):
        name = f"{number // 2:08d}_{number % 2:03d}.png"
        picture = np.random.default_rng(number).integers(0, 255, (32, 32)).astype(np.uint8)
        cv2.imwrite(str(root / name), picture)
        label = ("No Finding", "Mass|Pneumonia", "Mass")[number % 3]
        lines.append(f"{name},{label},{number // 2},{'MF'[number % 2]},{40 + number},PA")
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join(lines) + "\n")


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Yield where each value of a configuration stands, blocks and lists before what they hold."""
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        yield (*here, key)
        yield from places(child, (*here, key))


def _block(config: Any, place: Place) -> Any:
    for key in place[:-1]:
        config = config[key]
    return config


def _dropped(config: Any, place: Place, chance: random.Random) -> None:
    del _block(config, place)[place[-1]]


def _misspelt(config: Any, place: Place, chance: random.Random) -> None:
    block, key = _block(config, place), place[-1]
    text = str(key if isinstance(block, dict) else block[key])
    at = chance.randrange(max(1, len(text)))
    spelt = chance.choice(
        [text[:at] + text[at + 1 :], text[:at] + text[at : at + 1] * 2 + text[at + 1 :],
         text[:at] + chance.choice("aeiou_- ") + text[at:], text.upper(), text + "s"]
    )  # fmt: skip
    if isinstance(block, dict):
        block[spelt] = block.pop(key)
    else:
        block[key] = spelt


def _retyped(config: Any, place: Place, chance: random.Random) -> None:
    block, key = _block(config, place), place[-1]
    value = block[key]
    own: list[Any] = [str(value), [value], {"x": value}]
    if isinstance(value, list) and value:
        own += [value[0], [*value, value[0]], value[::-1]]
    block[key] = chance.choice([*own, *copy.deepcopy(_OTHERS)])


def _extreme(config: Any, place: Place, chance: random.Random) -> None:
    _block(config, place)[place[-1]] = copy.deepcopy(chance.choice(_EXTREMES))


def _swapped(config: Any, place: Place, chance: random.Random) -> None:
    other = chance.choice([one for one in places(config) if one[: len(place)] != place
                           and place[: len(one)] != one] or [place])  # fmt: skip
    first, second = _block(config, place), _block(config, other)
    first[place[-1]], second[other[-1]] = second[other[-1]], first[place[-1]]


CHANGES: dict[str, Callable[[Any, Place, random.Random], None]] = {
    "dropped": _dropped,
    "misspelt": _misspelt,
    "retyped": _retyped,
    "extreme": _extreme,
    "swapped": _swapped,
}
KINDS = (*CHANGES, "doubled", "cut")


def mutant(configs: list[dict[str, Any]], seed: int, number: int) -> Mutant:
    """Return the mutant of this number."""
    chance = random.Random(f"{seed} {number}")
    config = copy.deepcopy(chance.choice(configs))
    kind = chance.choice(KINDS)
    place = chance.choice(list(places(config)))
    if kind in CHANGES:
        CHANGES[kind](config, place, chance)
        return Mutant(yaml.safe_dump(config, allow_unicode=True), kind, _written(place))
    lines = yaml.safe_dump(config).splitlines()
    if kind == "cut":
        text = "\n".join(lines)
        return Mutant(text[: chance.randrange(len(text))], kind, "(end)")
    line = chance.choice([one for one in lines if re.match(r" *\w+:", one)])
    lines.insert(lines.index(line), line)
    return Mutant("\n".join(lines), kind, line.split(":")[0].strip())


def _written(place: Place) -> str:
    return ".".join(map(str, place))
