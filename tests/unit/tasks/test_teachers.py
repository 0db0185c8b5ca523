"""What follows a network that is trained: a copy at first, then by parameters alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sscdl.tasks.teachers import follow, rising, teacher_of


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_it_begins_as_a_copy_that_shares_nothing_and_is_not_trained():
    student = net()
    student(torch.randn(8, 3))  # statistics are copied, too
    teacher = teacher_of(student)
    for (name, one), two in zip(
        student.state_dict().items(), teacher.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name
        assert one.data_ptr() != two.data_ptr(), name
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert all(parameter.requires_grad for parameter in student.parameters())


def test_it_follows_by_its_parameters_and_keeps_its_statistics():
    student, teacher = net(), teacher_of(net())
    student(torch.randn(8, 3))
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in teacher.parameters()]
    statistics = teacher[1].running_mean.clone()
    follow(teacher, student, 0.75)
    for was, now, other in zip(before, teacher.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(now, 0.75 * was + 0.25 * other)
    assert torch.equal(teacher[1].running_mean, statistics)
    follow(teacher, student, 0.0)
    for now, other in zip(teacher.parameters(), student.parameters(), strict=True):
        torch.testing.assert_close(now, other)


def test_the_share_that_it_keeps_rises_by_step_to_one():
    """tau = 1 - (1 - tau_base) (cos(pi k / K) + 1) / 2, in section 3.3 of the BYOL paper."""
    assert [rising(0.9, done, 4) for done in (0, 2, 4)] == pytest.approx([0.9, 0.95, 1.0])
    steps = [rising(0.9, step / 10, 4) for step in range(41)]
    assert steps == sorted(steps)
    assert len(set(steps)) == 41, "within an epoch, too"
