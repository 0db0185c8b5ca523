"""Bytes that a plan names are those of the real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from sscdl.planning.disk import state_bytes, task_state_bytes, weights_bytes
from sscdl.stages.task_state import own_state
from sscdl.study.trie import PRETEXT_TASKS
from sscdl.tasks import build_task
from sscdl.tasks.options import DEFAULTS
from sscdl.training.backbones import build_backbone
from sscdl.training.network_facts import SIZES, network_facts
from sscdl.training.network_names import network_of
from tests.unit.plan_helpers import STAGE, make_nodes

NOWHERE = Path("no store")  # torchvision's networks are known without one


@pytest.mark.parametrize(("name", "last_stage"), list(SIZES))
def test_the_table_of_backbones_is_that_of_the_real_ones(name, last_stage):
    backbone = build_backbone(name, last_stage)
    stored = len(save(backbone.state_dict()))
    size, channels = SIZES[name, last_stage]
    assert channels == backbone.channels
    assert size == sum(t.numel() * t.element_size() for t in backbone.state_dict().values())
    assert size < stored < size + 100_000  # the header of the file


def test_a_classifier_has_a_head():
    moco, classify = make_nodes("moco")
    assert weights_bytes(moco, NOWHERE) == SIZES["resnet18", 2][0]
    assert weights_bytes(classify, NOWHERE) - weights_bytes(moco, NOWHERE) == 4 * 2 * (128 + 1)
    assert weights_bytes(make_nodes("moco", backbone={"name": "mine"})[0], NOWHERE) == 0


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("task", PRETEXT_TASKS)
def test_what_a_task_keeps_is_what_the_real_one_has(task, given):
    """Given options are away from the defaults wherever they have a length."""
    lengths = {
        "queue": 16, "dimension": 24, "prototypes": 7, "hidden": 20, "local_crops": 1,
    }  # fmt: skip
    options = {k: v for k, v in lengths.items() if given and k in DEFAULTS[task]}
    node = make_nodes(task, stages={task: {"options": options}})[0]
    real = build_task(
        task, build_backbone("resnet18", 2), options=options, image_size=32, images=200, mean=0.5,
        std=0.3, batch_size=STAGE["batch_size"], patients=torch.arange(200),
    )  # fmt: skip
    state = own_state(real)
    size = task_state_bytes(node, 200, NOWHERE)
    assert size == sum(t.numel() * t.element_size() for t in state.values())
    weights, whole = weights_bytes(node, NOWHERE), state_bytes(node, 200, NOWHERE)
    buffers = whole // 2 - 2 * weights - size
    # An optimiser has none for the statistics of normalisations, nor for weights that stay.
    trained = sum(
        p.numel() * p.element_size() for name, p in real.named_parameters()
        if p.requires_grad and not name.startswith("backbone.")
    )  # fmt: skip
    norms = [m for m in real.modules() if isinstance(m, nn.BatchNorm1d)]
    spare = sum(t.numel() * t.element_size() for m in norms for t in m.state_dict().values())
    assert trained <= buffers <= trained + spare
    averaged = replace(node, recipe={**node.recipe, "averaged_weights": "source"})
    more = 2 * (weights + buffers)
    assert state_bytes(averaged, 200, NOWHERE) == whole + more
    adam = make_nodes(task, stages={task: {"options": options, "optimizer": "adam"}})[0]
    assert state_bytes(adam, 200, NOWHERE) == whole + more, "a second buffer"


def test_a_classifier_and_an_unknown_network_keep_nothing_else():
    moco, classify = make_nodes("moco")
    assert task_state_bytes(classify, 200, NOWHERE) == 0
    assert task_state_bytes(make_nodes("moco", backbone={"name": "mine"})[0], 200, NOWHERE) == 0
    assert task_state_bytes(moco, 0, NOWHERE) > weights_bytes(moco, NOWHERE)


def test_a_network_of_timm_is_known_once_somebody_has_looked(tmp_path):
    backbone = network_of({"name": "vit_tiny_patch16_224", "last_stage": 4}, 32)
    node = make_nodes("moco", backbone=backbone)[0]
    assert weights_bytes(node, tmp_path) == task_state_bytes(node, 200, tmp_path) == 0
    network_facts(backbone, node.recipe["image_size"], tmp_path)
    state = build_backbone(**backbone).state_dict().values()
    assert weights_bytes(node, tmp_path) == sum(t.numel() * t.element_size() for t in state)
    assert task_state_bytes(node, 200, tmp_path) > 0
