"""Tables that the workflow has written itself, and synthetic archives, when they are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from sscdl.errors import InputError, drawn_again
from sscdl.figures import drawing
from sscdl.images.imagelist import _marks
from sscdl.own_csv import read_own
from sscdl.tables.overview import read_thesis
from sscdl.tables.rates import _thesis_rates

DAMAGE = {"is an empty file": b"", "is cut off": b"a,b\n1,", "is no table": b'a\n"1\n'}


@pytest.mark.parametrize(("fault", "content"), DAMAGE.items())
def test_what_is_damaged_is_named(tmp_path, fault, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"{path}: {fault}.*; delete it and run the study again"):
        read_own(path)
    with pytest.raises(InputError, match=f"{path}: {fault}.*; as I say$"):
        read_own(path, advice="as I say")


def test_a_whole_one_is_read_with_the_settings(tmp_path):
    (tmp_path / "t.csv").write_text("a\n01\n")
    assert read_own(tmp_path / "t.csv", dtype=str)["a"].tolist() == ["01"]


@pytest.mark.parametrize(
    "read",
    [
        lambda path: _marks([path]),
        lambda path: _thesis_rates(path.parent),
        lambda path: read_thesis(path.parent, path.name),
        lambda path: drawing.draw_comparisons(path),
        lambda path: drawing.draw_ail(path, path),
    ],
)
def test_whoever_reads_one_names_it(tmp_path, read):
    path = tmp_path / "B.1_a_b_full.csv"
    path.touch()
    with pytest.raises(InputError, match=f"{path}: is an empty file"):
        read(path)


def test_only_a_file_of_a_synthetic_archive_is_drawn_again(tmp_path):
    done = str(tmp_path / "store/phantom/x/done.json")
    inside = Path(done).parent / "archive/truth.csv"
    with pytest.raises(InputError, match=rf"truth.csv: gone \(.* delete {Path(done).parent} and "):  # noqa: SIM117
        with drawn_again(done):
            raise InputError(f"{inside}: gone")
    for one, about in ((done, "other.csv: gone"), (None, f"{inside}: gone")):
        with pytest.raises(InputError, match="gone$"), drawn_again(one):
            raise InputError(about)
