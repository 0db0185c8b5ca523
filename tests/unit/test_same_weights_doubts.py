"""Changes that cases may not tell though all their lines ran: the comparison asks to look at them.

Each is made in copies of modules of the package, and judged as if all digests came out equal.
"""

from __future__ import annotations

import pytest

from benchmarks.same_weights.compare import trusted
from benchmarks.same_weights.judge import judge
from benchmarks.same_weights.probe import ROOT
from tests.unit.test_same_weights import revision


def reasons(tmp_path, before, after):
    """Return why the files ``after`` do not count as those ``before``, and check what trust does.

    Whatever asks for trust must be settled by it.
    """
    base, now = revision(tmp_path, "base", before), revision(tmp_path, "now", after)
    found = judge("g", base, now).reasons
    places = [one.partition("--trust ")[2].partition(")")[0] for one in found if "--trust" in one]
    left = judge("g", base, now, [trusted(place) for place in places]).reasons
    assert left == [one for one in found if "--trust" not in one]
    return found


def of_one(tmp_path, before, after):
    """Return the reasons against a change of the only module."""
    assert before != after
    return reasons(tmp_path, {"one.py": before}, {"one.py": after})


CHANGES = {
    "a rounding of the cuts": (
        "images/split.py", "bisect_right(cuts, round(middle, 9))", "bisect_right(cuts, middle)"
    ),
    "another meaning of round": (
        "images/split.py", 'SPLITS = ("train", "val", "test")\n',
        'SPLITS = ("train", "val", "test")\n\n\ndef round(value, digits):\n    return value\n',
    ),
    "a threshold": (
        "images/variants.py",
        "_read_gray(*masks[image_id]) > 127", "_read_gray(*masks[image_id]).astype(bool)",
    ),
    "a lower bound": (
        "images/variants.py", "max(square - mean**2, 0.0)", "abs(square - mean**2)"
    ),
    "a fallback": (
        "dicom/codes.py", "_VIEW_CODES.get(code, OTHER if code else position)", "position"
    ),
    "a clipping": ("images/ingest.py", "np.clip(corners, 0.0, 1.0).tolist()", "corners.tolist()"),
    "what is caught": (
        "images/variants.py", "except (OSError, ValueError):", "except OSError:"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_the_package_is_in_doubt(tmp_path, name):
    file, before, after = CHANGES[name]
    source = (ROOT / "sscdl" / file).read_text(encoding="utf-8")
    assert source.count(before) == 1
    found = of_one(tmp_path, source, source.replace(before, after))
    assert found
    assert all("--trust" in reason for reason in found)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("max(x, y)", "x"),
        ("np.minimum(x, y)", "x"),
        ("x.clamp_min(y)", "x"),
        ("x.where(y, z)", "x"),
        ("list(map(round, x))", "x"),
        ("next(x, y)", "x[0]"),
        ("getattr(x, 'a', y)", "x.a"),
        ("x.pop(y, z)", "x[y]"),
        ("np.nan_to_num(x)", "x"),
        ("any(x)", "x[0]"),
        ("x in y", "y[x]"),
        ("x % y", "x"),
        ("x // y", "x"),
    ],
)
def test_what_shows_with_some_values_only_is_in_doubt(tmp_path, before, after):
    source = "def one(x, y, z):\n    return {}\n"
    for number, pair in enumerate([(before, after), (after, before)]):
        own, other = (source.format(text) for text in pair)
        found = of_one(tmp_path / str(number), own, other)
        assert len(found) == 1
        assert found[0].startswith("base:") == (number == 0)
        assert "only one of its ways" in found[0]


TRIES = """
def one(x):
    a = first(x)
    try:
        b = second(a)
    except (KeyError, ValueError):
        b = 0
    match b:
        case int() | float():
            b = [b]
        case _:
            b = []
    return b
"""
LATER = TRIES.replace("        b = second(a)", "        pass").replace(
    "        b = 0", "        b = 0\n    b = second(a)"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(KeyError, ValueError)", "KeyError"),
        ("case int() | float():", "case int():"),
        ("    a = first(x)\n    try:\n", "    try:\n        a = first(x)\n"),
        (TRIES, LATER),
    ],
)
def test_what_is_caught_or_matched_is_in_doubt(tmp_path, before, after):
    for number, pair in enumerate([(before, after), (after, before)]):
        source = TRIES.replace(before, pair[0])
        found = of_one(tmp_path / str(number), source, TRIES.replace(before, pair[1]))
        assert found
        assert all("--trust" in reason for reason in found)


@pytest.mark.parametrize(
    "change",
    [
        ("import b\n", "import b\nimport round\n"),
        ("import b\n", "import b\nround = b.run\n"),
        ("import b\n", "import b\n\nclass round:\n    pass\n"),
        ("def one(x):", "def one(x, round):"),
        ("def one(x):", "def one(x, KIND):"),
        ("import b\n", "def b():\n    return 1\n"),
        ("import b\n", "import b\n\ndef b():\n    return 1\n"),
        ("import b\n", "from pkg.other import b\n"),
    ],
)
def test_a_name_that_hides_another_is_in_doubt(tmp_path, change):
    source = "import b\n\nKIND = 'a'\n\ndef one(x):\n    return b.two(x, KIND)\n"
    other = "def b(x):\n    return 1\n"
    for number, (before, after) in enumerate([change, change[::-1]]):
        text = source.replace(*change) if number else source
        changed = text.replace(before, after)
        found = reasons(
            tmp_path / str(number),
            {"one.py": text, "other.py": other}, {"one.py": changed, "other.py": other},
        )  # fmt: skip
        assert any("meant something else" in reason for reason in found)


def test_a_method_hides_nothing(tmp_path):
    source = "class One:\n    def run(self):\n        return 1\n"
    assert not of_one(tmp_path, source, source + "\n    def round(self):\n        return 2\n")


def test_a_condition_is_settled_by_an_equal_one_in_its_function_only(tmp_path):
    source = "def one(x):\n    y = x\n    if x > y:\n        y = x * 2\n    return y\n"
    source += "\ndef two(x):\n    y = x\n    return y\n"
    moved = source.replace("    y = x\n    if", "    if", 1).replace(
        "x * 2\n", "x * 2\n    y = x\n"
    )
    assert not of_one(tmp_path / "own", source, moved)
    condition = "    if x > y:\n        y = x * 2\n"
    elsewhere = source.replace(condition, "").replace(
        "    return y\n", f"{condition}    return y\n"
    )
    elsewhere = elsewhere.replace(condition, "", 1)
    found = of_one(tmp_path / "other", source, elsewhere)
    assert [reason.startswith("base:") for reason in found] == [True, False]
    assert all("one way only" in reason for reason in found)


def test_the_else_of_types_counts(tmp_path):
    source = "if TYPE_CHECKING:\n    import a\nelse:\n    RATE = 'a'\n"
    assert not of_one(tmp_path / "types", source, source.replace("import a", "import b"))
    found = of_one(tmp_path / "else", source, source.replace("'a'", "'b'"))
    assert len(found) == 2
