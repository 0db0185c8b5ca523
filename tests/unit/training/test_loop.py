"""The loop: exact resume, foreign and damaged states, divergence, records."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import pytest
import torch

from sscdl.errors import LostState
from sscdl.tasks import build_task, stand_in_labels
from sscdl.training.backbones import build_backbone
from sscdl.training.loop import Images, Previous, train
from sscdl.training.order import mixed_seed
from sscdl.training.schedule import Schedule

SIZE = 32


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(16), torch.arange(16, 24))


def make(name="moco", *, epochs=4, rate=0.05, decay="cosine", **options):
    torch.manual_seed(mixed_seed(0, "weights"))
    task = build_task(
        name,
        build_backbone("resnet18", 2),
        options=({"queue": 8} if name == "moco" else {}) | options,
        image_size=SIZE,
        images=16,
        mean=0.5,
        std=0.3,
        batch_size=4,
        patients=torch.arange(24),
        labels=stand_in_labels(name, torch.arange(24), 2),
        classes=2,
        training_rows=torch.arange(16),
    )
    # The rate is for losses of a size with one; LARS does not care.
    kind = "lars" if name in ("barlowtwins", "vicreg") else "sgd"
    return task, Schedule(kind, rate, 0.9, 1e-4, 4, epochs, decay)


def run(task, schedule, images, state, *, start=0, stop=4, previous=None, key="key"):
    return train(
        task, images, schedule, start=start, stop=stop, seed=1, state=state, fingerprint=key,
        previous=previous,
    )  # fmt: skip


def same(one, two):
    one, two = one.state_dict(), two.state_dict()
    return all(torch.equal(one[name], two[name]) for name in one)


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


def test_the_queue_is_full_before_the_first_step(tmp_path, images):
    """Without, the loss rises as the negatives come, which looks like divergence."""
    still = {"rate": 1e-12, "decay": "constant", "epochs": 2}
    filled, begun = (
        run(*make(fill=fill, queue=12, **still), images, tmp_path / f"{fill}.pt", stop=2)
        for fill in (True, False)
    )
    assert begun[1]["loss"] > begun[0]["loss"] + 0.3
    assert filled[1]["loss"] == pytest.approx(filled[0]["loss"], abs=0.3)
    assert filled[0]["loss"] > begun[0]["loss"] + 0.3
    again = run(*make(fill=True, queue=12, **still), images, tmp_path / "again.pt", stop=2)
    assert [r["loss"] for r in again] == [r["loss"] for r in filled]


class Stopped(Exception):
    pass


def test_a_run_that_dies_in_its_first_epoch_fills_the_same_queue_again(
    tmp_path, images, monkeypatch
):
    whole, schedule = make(fill=True)
    run(whole, schedule, images, tmp_path / "whole.pt")
    task, _ = make(fill=True)
    monkeypatch.setattr(task, "after_backward", lambda *_: (_ for _ in ()).throw(Stopped))
    with pytest.raises(Stopped):
        run(task, schedule, images, tmp_path / "parts.pt")
    assert (task.queue_rows >= 0).all()
    second, _ = make(fill=True)
    run(second, schedule, images, tmp_path / "parts.pt", stop=2)
    third, _ = make(fill=True)
    shown = []
    monkeypatch.setattr(third, "before_training", shown.append)
    run(third, schedule, images, tmp_path / "parts.pt")
    assert shown == [], "what was trained goes on from its own queue"
    assert same(whole, third)


def test_a_task_takes_as_many_batches_as_it_likes_before_training(tmp_path, images):
    task, schedule = make("rotation")
    seen = []

    def before_training(batches):
        assert task.training
        assert not torch.is_grad_enabled()
        seen.extend(index.tolist() for _, index in islice(batches, 9))

    task.before_training = before_training
    run(task, schedule, images, tmp_path / "state.pt", stop=1)
    assert [len(rows) for rows in seen] == [4] * 9
    turns = [sum(seen[k : k + 4], []) for k in (0, 4)]  # four batches show all 16 images
    assert sorted(turns[0]) == sorted(turns[1]) == list(range(16))
    assert turns[0] != turns[1]


@pytest.mark.parametrize(("last_batch", "number"), [("drop", 2), ("fill", 3)])
def test_the_last_batch_is_dropped_or_filled(tmp_path, images, monkeypatch, last_batch, number):
    few = replace(images, train=torch.arange(14))
    task, schedule = make("rotation")
    schedule = replace(schedule, batch_size=6, last_batch=last_batch)
    seen, views = [], task.views

    def watched(pixels, draws):
        seen.append((pixels[:, 0, 0, 0].tolist(), draws[:, 0].tolist()))
        return views(pixels, draws)

    monkeypatch.setattr(task, "views", watched)
    few = replace(few, pixels=torch.arange(24).to(torch.uint8)[:, None, None].expand(24, 32, 32))
    record = run(task, schedule, few, tmp_path / "state.pt", stop=1)[-1]
    batches_, shown = seen[:number], sum((rows for rows, _ in seen[:number]), [])
    assert [len(rows) for rows, _ in batches_] == [6] * number
    assert record["images_per_second"] == pytest.approx(
        6 * number / record["seconds"], rel=0.05, abs=0.1
    )
    if last_batch == "fill":
        assert set(shown) == set(range(14)), "none is left out"
        assert shown[14:] == shown[:4], "the first ones are seen again"
        assert batches_[2][1][2:] == batches_[0][1][:4], "as they were seen before"
    else:
        assert len(set(shown)) == 12


@pytest.mark.parametrize("name", ["moco", "swav", "relloc", "classify"])
def test_every_task_trains_and_resumes_with_filled_batches(tmp_path, images, name):
    few = replace(images, train=torch.arange(14))
    whole, schedule = make(name, epochs=2)
    schedule = replace(schedule, last_batch="fill", warmup_epochs=0.5)
    history = run(whole, schedule, few, tmp_path / "whole.pt", stop=2)
    assert history[-1]["finite"]
    run(make(name)[0], schedule, few, tmp_path / "parts.pt", stop=1)
    second, _ = make(name)
    run(second, schedule, few, tmp_path / "parts.pt", stop=2)
    assert same(whole, second)


def test_only_a_task_that_knows_a_floor_has_one_in_its_record(tmp_path, images):
    record = run(*make("moco"), images, tmp_path / "m.pt", stop=1)[-1]
    assert 0 < record["floor"] < record["chance"] + 3
    assert "floor" not in run(*make("rotation"), images, tmp_path / "r.pt", stop=1)[-1]


def test_a_search_under_a_constant_rate_is_the_same_before_any_continuation(tmp_path, images):
    """Its object is found whatever final_epochs says, also where the rate rises at first."""
    tasks = []
    for epochs in (3, 7):
        task, schedule = make("rotation", decay="constant", epochs=epochs)
        schedule = replace(schedule, warmup_epochs=1.4)
        run(task, schedule, images, tmp_path / f"{epochs}.pt", stop=2)
        tasks.append(task)
    assert same(*tasks)
    without, schedule = make("rotation", decay="constant")
    run(without, schedule, images, tmp_path / "without.pt", stop=2)
    assert not same(without, tasks[0])
