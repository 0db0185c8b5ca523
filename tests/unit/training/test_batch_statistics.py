"""Statistics of the present weights: what they are, and that nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from sscdl.evaluation.classifier import Classifier
from sscdl.files import read_json
from sscdl.images.rows import select_rows
from sscdl.images.variants import read_pack
from sscdl.progress import job_log
from sscdl.stages.stage import run_stage
from sscdl.tasks.options import DEFAULTS
from sscdl.training import batch_statistics
from sscdl.training.augment import center_resize
from sscdl.training.batch_statistics import Sample, Statistics, estimated, sample, settle, spread
from tests.unit.real_stage import real_stage, weights
from tests.unit.task_helpers import draws_for, make_task, pictures, train

TASKS = tuple(DEFAULTS)
NORMALISED_APART = ("simsiam", "dino", "swav")


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(100, 3), nn.BatchNorm1d(3),
    )  # fmt: skip


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def batches():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(6, 1, 9, 9, generator=generator) + number for number in range(5)]


def test_they_are_those_of_torch_s_own_function():
    ours, theirs = net(), net()
    ours(batches()[0]), theirs(batches()[0])
    # Its dropout would drop: there, a network in training mode feeds the layers.
    theirs[3].p = 0.0
    update_bn(batches(), theirs)
    with estimated(ours, [lambda b=b: ours(b) for b in batches()]):
        for layer in (1, 5, 8):
            for name in ("running_mean", "running_var"):
                torch.testing.assert_close(getattr(ours[layer], name), getattr(theirs[layer], name))


def test_a_layer_that_is_passed_twice_in_a_step_counts_both_alike():
    layer = nn.BatchNorm1d(2)
    one, two = torch.randn(8, 2), torch.randn(8, 2) + 3
    with estimated(layer, [lambda: (layer(one), layer(two))]):
        torch.testing.assert_close(
            layer.running_mean, torch.stack([one.mean(0), two.mean(0)]).mean(0)
        )


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_else_changes_whatever_happens(fails):
    module = net()
    module(batches()[0])
    module.train()
    module[1].eval()  # a mode of its own comes back, too
    module[5].momentum = None
    before, modes = state(module), [one.training for one in module.modules()]

    def feed():
        assert [one.training for one in module] == [
            False, True, False, False, False, True, False, False, True,
        ]  # fmt: skip
        module(batches()[1])
        if fails:
            raise KeyError("no luck")

    if fails:
        with pytest.raises(KeyError), estimated(module, [feed]):
            pass
    else:
        with estimated(module, [feed]):
            inside = state(module)
            assert not any(one.training for one in module.modules())
        assert not equal(before, inside)
        assert inside["1.num_batches_tracked"] == before["1.num_batches_tracked"]
    assert equal(before, state(module))
    assert [one.training for one in module.modules()] == modes
    assert module[5].momentum is None
    assert not any(one._forward_pre_hooks for one in module.modules())


def test_a_network_without_such_layers_is_fed_nothing():
    module = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)).train()
    with estimated(module, [lambda: pytest.fail("was fed")]):
        assert not module.training
    assert module.training


@pytest.mark.parametrize("name", TASKS)
def test_a_task_s_state_and_random_numbers_are_left_alone(name):
    task, images = make_task(name), pictures()[:, 0]
    train(task, images[:, None], 2, 0.05)
    task.train()
    before, numbers = state(task), torch.get_rng_state()
    taken = sample(images, torch.arange(40), task.draws, batch_size=8, seed=3, precision="float32")
    statistics = Statistics(task, taken)
    for block in (statistics.of_validation, statistics.of_features, statistics.of_kept):
        with block():
            assert not equal(before, state(task))
        assert equal(before, state(task))
    assert torch.equal(numbers, torch.get_rng_state())
    assert task.training


# Not these: crops of two sizes (dino, swav) and targets of two views (simsiam) share what they are
# normalised by; in training, they do not.
@pytest.mark.parametrize("name", [name for name in TASKS if name not in NORMALISED_APART])
def test_validation_agrees_with_the_loss_of_training_batches(name):
    """After few steps, the running averages are still those of a network that never was."""
    task, images = make_task(name), pictures()
    train(task, images, 3, 1.0 if name == "findings" else 0.1)  # whose loss moves little
    index = torch.arange(8)
    views = draws_for(task, 8)
    fed = Sample(images[:, 0], [index], [views], "float32")

    def loss():
        task.training = True
        seen = task.views(images[index], views)
        task.training = False
        with torch.no_grad():
            return float(task(seen, index, 0, 1).loss)

    # In evaluation mode but for the layers that normalise, which take the batch itself.
    task.eval()
    for layer in batch_statistics.layers(task):
        layer.train()
    of_batch = loss()
    task.eval()
    task.load_state_dict(state(make_task(name)) | {
        key: value for key, value in state(task).items()
        if not key.endswith(("running_mean", "running_var"))
    })  # fmt: skip
    stale = loss()
    with Statistics(task, fed).of_validation():
        fresh = loss()
    assert abs(fresh - of_batch) < 0.25 * abs(stale - of_batch)


def test_a_sample_is_bounded_in_whole_batches_and_a_function_of_its_seed():
    pixels, rows = torch.zeros(3000, 4, 4, dtype=torch.uint8), torch.arange(5, 3000)

    def taken(rows, batch, seed=0):
        return sample(pixels, rows, 2, batch_size=batch, seed=seed, precision="float32")

    one = taken(rows, 48)
    assert [len(part) for part in one.parts] == [48] * 2
    assert [draws.shape for draws in one.draws] == [(48, 2)] * 2
    assert len(set(torch.cat(one.parts).tolist())) == 96
    assert min(torch.cat(one.parts)) >= 5
    again, other = taken(rows, 48), taken(rows, 48, seed=1)
    assert torch.equal(torch.cat(one.parts), torch.cat(again.parts))
    assert torch.equal(torch.cat(one.draws), torch.cat(again.draws))
    assert not torch.equal(torch.cat(one.parts), torch.cat(other.parts))
    assert [len(part) for part in taken(rows, 500).parts] == [500]
    assert [len(part) for part in taken(rows[:20], 16).parts] == [16]


def test_rows_are_spread_evenly():
    assert spread([1, 2, 3]) == [1, 2, 3]
    assert len(spread(range(10_000))) <= batch_statistics.SAMPLE
    assert max(spread(range(10_000))) > 9_900


def test_a_random_network_is_settled_on_what_it_sees():
    backbone, images = make_task("rotation").backbone, pictures()[:, 0]

    def normalise(unit):
        return ((unit - 0.45) / 0.25).expand(-1, 3, -1, -1)

    parameters = {name: value.clone() for name, value in backbone.named_parameters()}
    settle(backbone, normalise, images, 32)
    assert equal(parameters, dict(backbone.named_parameters()))
    backbone.eval()
    seen = []
    backbone.layer2[1].bn2.register_forward_hook(lambda _, __, out: seen.append(out.clone()))
    backbone(normalise(center_resize(images[:, None], 32)))
    mean, var = seen[0].mean(dim=(0, 2, 3)), seen[0].var(dim=(0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=0.05, rtol=0)
    torch.testing.assert_close(var, torch.ones_like(var), atol=0.05, rtol=0)


def test_no_image_counts_more_than_another_where_a_network_is_settled():
    network = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    images = torch.zeros(65, 8, 8, dtype=torch.uint8)
    images[-1] = 255
    settle(network, lambda unit: unit.expand(-1, 3, -1, -1), images, 8)
    with torch.no_grad():
        seen = network[0]((images[:, None] / 255).expand(-1, 3, -1, -1))
    # Two parts of 33 and 32: a part of one image alone would weigh as much as 64 others.
    torch.testing.assert_close(network[1].running_mean, seen.mean(dim=(0, 2, 3)), atol=0.01, rtol=0)


@pytest.mark.parametrize("task", ["rotation", "classify"])
def test_only_what_is_kept_and_measured_depends_on_the_way(tmp_path, task):
    found, histories = [], []
    for way in ("estimated", "running"):
        stage = real_stage(tmp_path, task, store=tmp_path / way, learning_rates=(0.01,))
        if way == "running":
            del stage.recipe["batch_statistics"]
        with job_log(tmp_path / "log", "test"):
            run_stage(stage)
        found.append(weights(stage))
        histories.append(read_json(stage.pointer)["final"]["history"])
    differ = {name for name in found[0] if not torch.equal(found[0][name], found[1][name])}
    assert differ == {name for name in found[0] if name.endswith(("running_mean", "running_var"))}
    losses, validated = (
        [[record[key] for record in history] for history in histories]
        for key in ("loss", "val_loss")
    )
    assert losses[0] == losses[1]
    assert validated[0] != validated[1]


def test_a_classifier_is_kept_as_the_one_that_was_validated(tmp_path):
    stage = real_stage(tmp_path, "classify")
    with job_log(tmp_path / "log", "test"):
        run_stage(stage)
    model = Classifier(stage.pointer, torch.device("cpu"))
    array, described = read_pack(stage.pack)
    rows = select_rows(stage.images, described, stage.recipe["data"])
    chances, _ = model(torch.from_numpy(array[rows.validate]))
    truth = torch.tensor([rows.labels[row] for row in rows.validate])
    loss = nn.functional.nll_loss(chances.log(), truth)
    said = read_json(Path(stage.pointer))["final"]["history"][-1]["val_loss"]
    assert float(loss) == pytest.approx(said, rel=1e-5)
