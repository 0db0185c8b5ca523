"""Which functions, constants and statements of two revisions the comparison takes for the same."""

from __future__ import annotations

from benchmarks.same_weights.judge import judge
from tests.unit.test_same_weights import revision
from tests.unit.test_same_weights_doubts import of_one, reasons

ONE = (
    "from pkg.names import KINDS\n\ndef size(x):\n    return len(x)\n\ndef one(x):\n    return x\n"
)
TWO = "def size(x):\n    return x.total()\n\ndef two(x):\n    return size(x)\n"


def exchanged(before, after):
    """Return two texts with a part of each in the other."""
    first, second = before
    part, other = after
    return first.replace(part, other), second.replace(other, part)


def test_an_exchange_of_functions_of_one_name_is_in_doubt(tmp_path):
    one, two = exchanged((ONE, TWO), ("return len(x)", "return x.total()"))
    found = reasons(tmp_path, {"one.py": ONE, "two.py": TWO}, {"one.py": one, "two.py": two})
    assert len(found) == 4
    assert all("order or module" in reason for reason in found)


def test_it_is_in_doubt_in_modules_that_moved_too(tmp_path):
    one, two = exchanged((ONE, TWO), ("return len(x)", "return x.total()"))
    after = {"deep/first.py": one, "deep/second.py": two}
    assert reasons(tmp_path, {"one.py": ONE, "two.py": TWO}, after)
    same = {"deep/first.py": ONE, "deep/second.py": TWO}
    assert not reasons(tmp_path / "same", {"one.py": ONE, "two.py": TWO}, same)


def test_an_exchange_of_constants_of_one_name_is_in_doubt(tmp_path):
    one, two = "KIND = 'a'\n" + ONE, "KIND = 'b'\n" + TWO
    swapped = {"one.py": "KIND = 'b'\n" + ONE, "two.py": "KIND = 'a'\n" + TWO}
    assert len(reasons(tmp_path, {"one.py": one, "two.py": two}, swapped)) == 4


def test_an_exchange_of_imports_of_one_name_is_in_doubt(tmp_path):
    users = "from pkg.one import size\n\ndef {}(x):\n    return size(x) + {}\n"
    first, second = users.format("f", 1), users.format("s", 2).replace("pkg.one", "pkg.two")
    base = {"one.py": ONE, "two.py": TWO, "first.py": first, "second.py": second}
    changed, other = exchanged((first, second), ("pkg.one", "pkg.two"))
    now = {**base, "first.py": changed, "second.py": other}
    found = reasons(tmp_path, base, now)
    assert len(found) == 4
    assert all("meant something else" in reason for reason in found)


def test_so_is_an_import_within_a_function(tmp_path):
    user = "def use(x):\n    from pkg.one import size\n    return size(x)\n"
    base = {"one.py": ONE, "two.py": TWO, "user.py": user}
    found = reasons(tmp_path, base, {**base, "user.py": user.replace("pkg.one", "pkg.two")})
    assert len(found) == 2


def test_modules_that_exchange_their_places_are_in_doubt(tmp_path):
    user = "from pkg.one import size\n\ndef use(x):\n    return size(x)\n"
    base = {"one.py": ONE, "two.py": TWO, "user.py": user}
    assert reasons(tmp_path, base, {"one.py": TWO, "two.py": ONE, "user.py": user})


def test_a_function_that_moves_to_another_module_is_accepted(tmp_path):
    moved = "def one(x):\n    return x\n"
    after = {"one.py": ONE.replace(moved, "from pkg.two import one\n"), "two.py": TWO + moved}
    assert not reasons(tmp_path, {"one.py": ONE, "two.py": TWO}, after)


def test_so_is_one_of_several_of_its_name_where_no_other_moves(tmp_path):
    moved = "def size(x):\n    return len(x)\n"
    user = "from pkg.one import size\n\ndef use(x):\n    return size(x)\n"
    base = {"one.py": ONE, "two.py": TWO, "user.py": user}
    after = {
        "one.py": ONE.replace(moved, ""), "two.py": TWO, "three.py": moved,
        "user.py": user.replace("pkg.one", "pkg.three"),
    }  # fmt: skip
    assert not reasons(tmp_path, base, after)
    after["user.py"] = user.replace("pkg.one", "pkg.two")
    assert reasons(tmp_path / "other", base, after)


def test_the_order_of_definitions_of_one_name_counts(tmp_path):
    parts = [
        "def f(x):\n    return x\n",
        "def f(x):\n    return g(x)\n",
        "def g(x):\n    return 1\n",
    ]
    first, second, third = parts
    assert of_one(tmp_path / "own", first + second + third, second + first + third)
    # Not that of definitions of other names.
    assert not of_one(tmp_path / "other", first + second + third, third + first + second)
    values = "A = 'a'\nA = 'b'\n"
    assert of_one(tmp_path / "value", values, "A = 'b'\nA = 'a'\n")


def test_the_order_of_statements_of_a_module_counts(tmp_path):
    source = "import a\nKINDS = []\nRATE = 'a'\nKINDS.append(1)\nKINDS.clear()\n"
    lines = source.splitlines()
    swapped = [*lines[:3], lines[4], lines[3]]
    found = of_one(tmp_path / "own", source, "\n".join(swapped))
    assert len(found) == 2
    assert all("another order" in reason for reason in found)
    given = [lines[0], lines[2], lines[1], *lines[3:]]
    assert not of_one(tmp_path / "given", source, "\n".join(given))


def test_a_module_that_was_split_and_renamed_keeps_its_loggers(tmp_path):
    head = "import logging\nLOGGER = logging.getLogger(__name__)\n"
    first, second = "def one(x):\n    return x\n", "def two(x):\n    return x\n"
    base = revision(tmp_path, "base", {"old.py": head + first + second})
    now = revision(tmp_path, "now", {"a.py": head + first, "b.py": head + second})
    assert judge("g", base, now).accepted
