"""Our lungVAE agrees with recordings of the original; skipped where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.golden_comparison import GROUPS
from tests.unit.golden_pictures import Deviation, table


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_recorded_is_beyond_its_tolerance(lungvae_golden: Path, group: str) -> None:
    deviations = list(GROUPS[group](lungvae_golden))
    print(f"\n{table(deviations)}")
    assert deviations
    assert [d for d in deviations if not d.ok] == []


def test_a_deviation_that_is_no_number_is_not_within_tolerance() -> None:
    assert Deviation("g", "q", 1.0, 1.0).ok
    assert not Deviation("g", "q", 1.1, 1.0).ok
    assert not Deviation("g", "q", float("nan"), 1.0).ok
    assert "**no**" in table([Deviation("g", "q", 1.1, 1.0)])
