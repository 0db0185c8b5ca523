"""The loop: exact resume, foreign and damaged states, divergence, records."""

from __future__ import annotations

import pytest
import torch

from sscdl.errors import LostState
from sscdl.tasks import build_task
from sscdl.training.backbones import build_backbone
from sscdl.training.loop import Images, Previous, Schedule, train
from sscdl.training.randomness import mixed_seed

SIZE = 32


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(16), torch.arange(16, 24))


def make(name="moco", *, epochs=4, rate=0.05, decay="cosine"):
    torch.manual_seed(mixed_seed(0, "weights"))
    task = build_task(
        name,
        build_backbone("resnet18", 2),
        options={"queue": 8} if name == "moco" else {},
        image_size=SIZE,
        images=16,
        mean=0.5,
        std=0.3,
        batch_size=4,
        patients=torch.arange(24),
        labels=torch.arange(24) % 2,
        classes=2,
        training_rows=torch.arange(16),
    )
    return task, Schedule("sgd", rate, 0.9, 1e-4, 4, epochs, decay)


def run(task, schedule, images, state, *, start=0, stop=4, previous=None, key="key"):
    return train(
        task, images, schedule, start=start, stop=stop, seed=1, state=state, fingerprint=key,
        previous=previous,
    )  # fmt: skip


def same(one, two):
    one, two = one.state_dict(), two.state_dict()
    return all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", ["moco", "swav", "relloc", "rotation", "classify"])
def test_a_run_in_two_parts_equals_an_undisturbed_one(tmp_path, images, name):
    whole, schedule = make(name)
    history = run(whole, schedule, images, tmp_path / "whole.pt")
    run(make(name)[0], schedule, images, tmp_path / "parts.pt", stop=2)
    second, _ = make(name)
    resumed = run(second, schedule, images, tmp_path / "parts.pt")
    assert same(whole, second)
    assert [r["loss"] for r in resumed] == [r["loss"] for r in history]


def test_continuing_another_runs_state_equals_one_run(tmp_path, images):
    whole, schedule = make()
    run(whole, schedule, images, tmp_path / "whole.pt")
    run(make()[0], schedule, images, tmp_path / "search.pt", stop=2)
    final, _ = make()
    history = run(
        final, schedule, images, tmp_path / "final.pt", start=2, key="final",
        previous=Previous(tmp_path / "search.pt", "key"),
    )  # fmt: skip
    assert same(whole, final)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4]


@pytest.mark.parametrize("fault", ["missing", "damaged", "earlier"])
def test_a_lost_state_is_never_continued_silently(tmp_path, images, fault):
    search = tmp_path / "search.pt"
    task, schedule = make()
    if fault != "missing":
        run(make()[0], schedule, images, search, stop=1)
    if fault == "damaged":
        search.write_bytes(search.read_bytes()[:500])
    with pytest.raises(LostState, match=r"search\.pt"):
        run(task, schedule, images, tmp_path / "final.pt", start=2, key="final",
            previous=Previous(search, "key"))  # fmt: skip


@pytest.mark.parametrize("fault", ["foreign", "truncated", "nonsense"])
def test_a_state_that_does_not_fit_is_set_aside(tmp_path, images, fault, caplog):
    state = tmp_path / "state.pt"
    whole, schedule = make()
    run(whole, schedule, images, tmp_path / "whole.pt")
    if fault == "nonsense":
        state.write_bytes(b"nonsense")
    else:
        run(
            make()[0], schedule, images, state, stop=2, key="other" if fault == "foreign" else "key"
        )
    if fault == "truncated":
        state.write_bytes(state.read_bytes()[:1000])
    task, _ = make()
    with caplog.at_level("WARNING", "sscdl.train"):
        run(task, schedule, images, state)
    assert same(whole, task)
    assert (tmp_path / "state.damaged").exists()
    assert "state.pt cannot be continued" in caplog.text


def test_an_infinite_loss_ends_the_run_and_is_its_result(tmp_path, images):
    task, schedule = make("rotation", rate=1e12)
    history = run(task, schedule, images, tmp_path / "state.pt")
    assert len(history) < 4
    assert history[-1]["finite"] is False
    assert history[-1]["loss"] is None


def test_seeds_change_the_run_and_validation_does_not(tmp_path, images):
    losses = []
    for validate in (images.validate, None):
        task, schedule = make("rotation")
        data = Images(images.pixels, images.train, validate)
        losses.append(run(task, schedule, data, tmp_path / f"{validate is None}.pt")[-1]["loss"])
    assert losses[0] == losses[1]
    task, schedule = make("rotation")
    other = train(
        task, images, schedule, start=0, stop=4, seed=2, state=tmp_path / "o.pt", fingerprint="o"
    )
    assert other[-1]["loss"] != losses[0]


def test_balanced_accuracy_counts_classes_alike(tmp_path, images):
    task, schedule = make("classify")
    task.labels = torch.tensor([0] * 22 + [1, 1])
    with torch.no_grad():
        task.head.weight.zero_()
        task.head.bias.copy_(torch.tensor([1.0, 0.0]))
    still = Schedule("sgd", 1e-12, 0.0, 0.0, 4, 1, "constant")
    record = run(task, still, images, tmp_path / "s.pt", stop=1)[-1]
    assert record["val_balanced_accuracy"] == pytest.approx(0.5)
    assert record["val_accuracy"] == pytest.approx(6 / 8)


def test_cosine_falls_to_zero_and_constant_does_not():
    cosine, constant = make(decay="cosine")[1], make(decay="constant")[1]
    assert cosine.rate(0) == pytest.approx(0.05)
    assert cosine.rate(0.5) == pytest.approx(0.025)
    assert cosine.rate(1) == pytest.approx(0, abs=1e-12)
    assert constant.rate(1) == 0.05
