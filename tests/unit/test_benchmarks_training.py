"""The measurements of training: that they compare like with like, and print whole tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import side_by_side, training_memory, training_speed
from benchmarks.training_floor import FLOORS, TASKS, Floor, Recipe, views_of, write_pngs
from benchmarks.training_speed import Setting, header, make_task, measure, pictures, row, spread
from sscdl.training.loop import Images, train
from sscdl.training.schedule import Schedule

SIZE, BATCH, STEPS = 32, 4, 2
SETTING = Setting(
    network={"name": "resnet18", "last_stage": 2}, size=SIZE, batch=BATCH,
    device=torch.device("cpu"), precision="float32", steps=STEPS, rounds=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more, and the command under test sets the number too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Passes:
    """Counts what goes through networks: views by (side, with gradient or without)."""

    def __init__(self, *networks: torch.nn.Module) -> None:
        self.views: dict[tuple[int, bool], int] = {}
        for network in networks:
            network.register_forward_pre_hook(self._count)

    def _count(self, network: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        pixels = inputs[0]
        assert pixels.shape[1:] == (3, pixels.shape[3], pixels.shape[3])
        key = (pixels.shape[3], torch.is_grad_enabled())
        self.views[key] = self.views.get(key, 0) + len(pixels)


def expected(name: str, steps: int) -> dict[tuple[int, bool], int]:
    """Return what ``Passes`` counts in ``steps`` steps."""
    return {
        (views.side, views.gradient): steps * BATCH * views.number for views in views_of(name, SIZE)
    }


@pytest.mark.parametrize("name", FLOORS)
def test_a_task_puts_through_its_network_what_the_floor_assumes(name: str, tmp_path: Path) -> None:
    pixels = pictures(SETTING.images, 36)
    task = make_task(name, SETTING, pixels)
    networks = [task.backbone] + ([task.key_backbone] if name == "moco" else [])
    passes = Passes(*networks)
    train(
        task,
        Images(torch.from_numpy(pixels), torch.arange(len(pixels)), None),
        Schedule("sgd", 0.01, 0.9, 1e-4, BATCH, 1, "constant"),
        start=0, stop=1, seed=0, state=tmp_path / "state.pt", fingerprint="views",
    )  # fmt: skip
    found = expected(name, STEPS)
    if name == "moco":  # which fills its queue before the first of the epochs that are measured
        found[SIZE, False] += len(task.queue)
    assert passes.views == found


@pytest.mark.parametrize("name", FLOORS)
def test_the_floor_has_these_views_and_a_head_as_large_as_the_task(name: str) -> None:
    floor = Floor(name, SETTING.network, SIZE, BATCH, SETTING.device)
    networks = [floor.model["backbone"]] + ([floor.slow["backbone"]] if name == "moco" else [])
    passes = Passes(*networks)
    assert torch.isfinite(floor.step())
    assert passes.views == expected(name, 1)
    task = make_task(name, SETTING, pictures(SETTING.images, 36))

    def trained(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.requires_grad)

    assert trained(floor.model) == trained(task)


@pytest.mark.parametrize("name", TASKS)
def test_the_recipe_has_these_views(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("lightly")
    monkeypatch.setattr("os.cpu_count", lambda: 0)  # no workers: they take longer than the rest
    files = write_pngs(pictures(SETTING.images, 36), tmp_path / "png")
    recipe = Recipe(name, SETTING.network, SIZE, BATCH, SETTING.device, "float32", files)
    networks = [recipe.model["backbone"]] + ([recipe.slow["backbone"]] if name == "moco" else [])
    passes = Passes(*networks)
    recipe.epoch()
    assert passes.views == expected(name, STEPS)


def cells(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table."""
    assert line.startswith("| ") or line.startswith("|---")
    assert line.endswith("|")
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_of_speeds_is_whole() -> None:
    setting = Setting(**{**vars(SETTING), "rounds": 2})
    measured = measure("classify", setting, False)
    assert len(measured.ours) == 2
    assert len(measured.floor) == 3
    names, rule = header(setting, False).splitlines()
    line = cells(row("classify", setting, measured, False))
    assert len(cells(names)) == len(cells(rule)) == len(line)
    assert line[:2] == ["classify", "1"]
    assert all(float(cell.split()[0]) > 0 for cell in line[2:-1])


def test_a_ratio_compares_with_the_floor_on_either_side() -> None:
    spent = [training_speed.Spent(wall, cpu) for wall, cpu in ((2, 1), (4, 3), (6, 5))]
    measured = training_speed.Measured(ours=spent[1:], floor=spent)
    assert measured.ratios("wall", measured.ours) == pytest.approx([3 / 4, 5 / 6])
    assert measured.ratios("cpu", measured.ours) == pytest.approx([2 / 3, 4 / 5])
    assert spread([0.5, 0.25, 1.0]) == "0.500 [0.250, 1.000]"


def test_the_command_prints_a_line_for_each_task(capsys: Any, monkeypatch: Any) -> None:
    command = "speed --last-stage 2 --size 32 --batch 4 --device cpu --threads 1 --rounds 1"
    monkeypatch.setattr(sys, "argv", [*command.split(), "--steps", "2", "--tasks", "relloc"])
    training_speed.main()
    said, _, *table = capsys.readouterr().out.splitlines()
    assert said.startswith("resnet18 up to stage 2, 32 px, batch 4, 2 steps an epoch")
    assert [cells(line)[0] for line in table] == ["task", "---", "relloc"]


def test_memory_is_measured_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    file = training_memory.sparse_array(tmp_path / "images.npy", 320, 72)
    figures = training_memory.train_a_little(file, "cpu", 1)
    assert set(figures) == {"RssAnon", "RssFile", "VmHWM", "GPU"}
    assert figures["VmHWM"] >= figures["RssAnon"] > 0
    line = training_memory.row(320, 72, figures)
    assert len(cells(line)) == len(cells(training_memory.HEADER.splitlines()[0]))


def test_memory_for_each_image_is_the_slope() -> None:
    measured = {count: {"RssAnon": 100 + count * 50 / 2**20} for count in (1000, 2000, 5000)}
    assert training_memory.bytes_per_image(measured, "RssAnon") == pytest.approx(50)


def test_the_process_of_its_own_answers_in_json(
    capsys: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    figures = {"RssAnon": 1.0, "RssFile": 2.0, "VmHWM": 3.0, "GPU": 0.0}
    monkeypatch.setattr(training_memory, "train_a_little", lambda *_: figures)
    monkeypatch.setattr(sys, "argv", ["memory", "--child", str(tmp_path / "images.npy")])
    training_memory.main()
    assert json.loads(capsys.readouterr().out) == figures


def test_the_command_compares_rates_side_by_side(capsys: Any, monkeypatch: Any) -> None:
    small = "--last-stage 2 --size 32 --batch 4 --images 12 --epochs 1 --rounds 1 --threads 1"
    monkeypatch.setattr(side_by_side, "RATES", (0.01, 0.02))
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", *small.split(), "--at-once", "1", "2"])
    side_by_side.main()
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["1", "2"]
    assert "1.00 [1.00, 1.00]" in rows[0]
