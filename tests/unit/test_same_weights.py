"""Which changes of the source the comparison of two revisions lets pass."""

from __future__ import annotations

import pytest

from benchmarks.same_weights import compare
from benchmarks.same_weights.cases import cases, only
from benchmarks.same_weights.compare import entry_of, known_to, trust_of, trusted, write
from benchmarks.same_weights.judge import Probed, Trust, judge
from benchmarks.same_weights.stage_cases import ALTERNATIVES, SMALL, link
from benchmarks.same_weights.training import Training
from sscdl.equivalence import FORMAT
from sscdl.errors import InputError
from sscdl.files import read_json
from sscdl.images.variants import VARIANTS
from sscdl.source import GROUPS
from sscdl.tasks import options
from sscdl.tasks.options import DEFAULTS, LATER, LATER_SETTINGS
from tests.conftest import ROOT

OLD = '''
"""A module."""
import logging
import math
from pkg.other import help_out
LOGGER = logging.getLogger("pkg.one")
RATE = 0.5
KIND = "a"

def loss(x, scale=2):
    """Return it."""
    y = x * scale
    if y > 3:
        y = math.sqrt(y)
    return -y

def pair(rng):
    first = rng.random()
    second = rng.random(2)
    return first, second

class Task:
    width: int = 3

    def run(self, x):
        total = sum(one for one in x)
        return help_out(total)
'''
OTHER = "def help_out(x):\n    return x + 1\n"


def revision(tmp_path, name, files, ran=True, digest="d", groups=("g",), hash_="h"):
    """Return a revision of a package ``pkg`` with these files; ``ran``: lines by file, or all."""
    root = tmp_path / name
    package, lines = {}, {}
    for file, source in files.items():
        path = root / "pkg" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        module = ".".join(["pkg", *file.removesuffix(".py").split("/")])
        package[module] = f"pkg/{file}"
        every = range(1, source.count("\n") + 2)
        lines[f"pkg/{file}"] = list(every if ran is True else ran.get(file, every))
    return Probed(
        root,
        {
            "groups": {group: {"hash": hash_, "modules": package} for group in groups},
            "package": package,
            "cases": {"c": {"groups": list(groups), "digests": {"weights": digest}}},
            "lines": {"c": lines},
            "machine": {},
        },
    )


def verdict(tmp_path, changed, *, trust=(), **options):
    """Return the verdict on a change of ``one.py``, or of all files."""
    files = changed if isinstance(changed, dict) else {"one.py": changed, "other.py": OTHER}
    base = revision(tmp_path, "base", {"one.py": OLD, "other.py": OTHER})
    return judge("g", base, revision(tmp_path, "current", files, **options), trust)


def line_of(source, text):
    """Return the number of the line of ``source`` with ``text``."""
    return next(n for n, line in enumerate(source.splitlines(), start=1) if text in line)


def test_the_same_source_is_accepted_and_other_digests_are_not(tmp_path):
    assert verdict(tmp_path, OLD).accepted
    found = verdict(tmp_path / "more", OLD, digest="e")
    assert found.reasons == ["case c: other weights", "no case was compared"]


def test_a_module_that_was_moved_and_split_is_accepted(tmp_path):
    start = OLD.index("def pair")
    moved = OLD[:start].replace("pkg.other", "pkg.deep.helpers").replace("pkg.one", "pkg.deep.one")
    rest = "from pkg.deep.helpers import help_out\n" + OLD[start:]
    files = {"deep/one.py": moved, "deep/two.py": rest, "deep/helpers.py": OTHER}
    # Not even a line of it has to run, but for what an import runs.
    ran = {"deep/one.py": [2, 3, 4, 5], "deep/two.py": [1], "deep/helpers.py": []}
    assert verdict(tmp_path, files, ran=ran).accepted


def test_docstrings_comments_and_annotations_are_invisible(tmp_path):
    changed = OLD.replace('"""Return it."""', '"""Return something else."""  # or so')
    assert verdict(tmp_path, changed.replace("(self, x)", "(self, x: float) -> float")).accepted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("RATE = 0.5", "RATE = 0.6"),
        ("scale=2", "scale=3"),
        ("y > 3", "y >= 3"),
        ("x * scale", "x / scale"),
        ("return -y", "return y"),
        ("width: int = 3", "width: int = None"),
    ],
)
def test_a_changed_value_or_operator_is_refused_whatever_the_digests(tmp_path, before, after):
    found = verdict(tmp_path, OLD.replace(before, after))
    assert any("a value was changed" in reason for reason in found.reasons)


def test_a_changed_statement_must_have_run(tmp_path):
    changed = OLD.replace("y = math.sqrt(y)", "y = math.pow(y, RATE)")
    assert verdict(tmp_path, changed).accepted
    line = line_of(changed, "math.pow")
    ran = [n for n in range(1, 40) if n != line]
    found = verdict(tmp_path / "more", changed, ran={"one.py": ran})
    assert found.reasons == [
        f"pkg/one.py:{line}: did not run in what both make; does what is made depend on it? "
        f"(--trust pkg/one.py:{line}): y = math.pow(y, RATE)"
    ]
    trust = [Trust("pkg/one.py", line)]
    assert verdict(tmp_path / "seen", changed, ran={"one.py": ran}, trust=trust).accepted


def test_what_was_removed_must_have_run_before(tmp_path):
    line = line_of(OLD, "second = ")
    base = revision(
        tmp_path, "base", {"one.py": OLD}, ran={"one.py": [n for n in range(40) if n != line]}
    )
    shorter = OLD.replace("    second = rng.random(2)\n", "")
    found = judge("g", base, revision(tmp_path, "current", {"one.py": shorter}))
    assert found.reasons == [
        f"base:pkg/one.py:{line}: did not run in what both make; does what is made depend on it? "
        f"(--trust base:pkg/one.py:{line}): second = rng.random(2)"
    ]


def test_an_exchange_of_statements_must_have_run(tmp_path):
    first, second = "    first = rng.random()\n", "    second = rng.random(2)\n"
    changed = OLD.replace(first + second, second + first)
    ran = [n for n in range(1, 40) if n not in (18, 19)]
    assert "rng.random()" in changed.splitlines()[18]
    assert not verdict(tmp_path, changed, ran={"one.py": ran}).accepted


def test_a_statement_that_left_its_branch_must_have_run(tmp_path):
    changed = OLD.replace("        y = math.sqrt(y)", "        pass\n    y = math.sqrt(y)")
    ran = [n for n in range(1, 40) if n != line_of(changed, "math.sqrt")]
    assert not verdict(tmp_path, changed, ran={"one.py": ran}).accepted


def test_a_default_and_a_value_of_the_module_may_be_used_elsewhere(tmp_path):
    for number, (before, after) in enumerate(
        [('KIND = "a"', 'KIND = "b"'), ("scale=2", "scale=RATE"), ("if y > 3:", "if y > x > 3:")]
    ):
        changed = OLD.replace(before, after)
        found = verdict(tmp_path / str(number), changed)
        assert {("base:" in reason) for reason in found.reasons} == {True, False}
        assert all("--trust" in reason for reason in found.reasons)
        places = [reason.partition("--trust ")[2].partition(")")[0] for reason in found.reasons]
        trust = [trusted(place) for place in places]
        assert verdict(tmp_path / f"{number}t", changed, trust=trust).accepted
        assert not verdict(tmp_path / f"{number}o", changed, trust=trust[:1]).accepted


def test_what_was_trusted_is_written_down_and_trusted_again(tmp_path):
    one = OLD.replace("if y > 3:", "if y > x > 3:")
    base = revision(tmp_path, "base", {"one.py": OLD, "other.py": OTHER})
    current = revision(tmp_path, "now", {"one.py": one, "other.py": OTHER}, hash_="new")
    asked = judge("g", base, current).reasons
    places = [reason.partition("--trust ")[2].partition(")")[0] for reason in asked]
    found = judge("g", base, current, [trusted(place) for place in places])
    entry = entry_of("f" * 40, [found], current)
    again = trust_of(entry, ["g"])
    assert len(again) == 2
    assert judge("g", base, current, again).accepted


def test_a_source_that_counts_as_another_already_is_not_given_a_second_past(tmp_path):
    base = revision(tmp_path, "base", {"one.py": OLD})
    current = revision(tmp_path, "now", {"two.py": OLD}, hash_="new")
    current.found["groups"]["g"]["counts_as"] = "older"
    with pytest.raises(SystemExit, match="g: counts as older already"):
        entry_of("f" * 40, [judge("g", base, current)], current)


def test_another_definition_of_an_imported_name_is_refused(tmp_path):
    other = "def help_out(x):\n    return x + 1\n\ndef _unused():\n    pass\n"
    twin = "def help_out(x):\n    return abs(x)\n"
    one = OLD.replace("import math", "import math\nfrom pkg.twin import help_out")
    base = revision(tmp_path, "base", {"one.py": OLD, "other.py": other, "twin.py": twin})
    current = revision(tmp_path, "now", {"one.py": one, "other.py": other, "twin.py": twin})
    assert any("help_out" in reason for reason in judge("g", base, current).reasons)


def test_a_name_that_is_given_to_something_else_is_refused(tmp_path):
    for number, line in enumerate(
        [
            "import cmath as math",
            "from pkg.other import other_out as help_out",
            "from pkg import b as a",
        ]
    ):
        one = OLD.replace("import math", "import math\nfrom pkg import a")
        lines = {"as math": "import math", "help_out": "from pkg.other import help_out"}
        replaced = next(
            (old for end, old in lines.items() if line.endswith(end)), "from pkg import a"
        )
        files = {
            "other.py": OTHER + "\ndef other_out(x):\n    return x\n",
            "a.py": "def run():\n    return 1\n",
            "b.py": "def rest():\n    return 1\n",
        }
        base = revision(tmp_path, f"base{number}", {"one.py": one, **files})
        changed = one.replace(replaced, line, 1)
        assert changed != one
        now = revision(tmp_path, f"now{number}", {"one.py": changed, **files})
        assert not judge("g", base, now).accepted


def test_a_module_may_be_imported_from_elsewhere_under_its_name(tmp_path):
    one = OLD.replace("import math", "import math\nfrom pkg import dicom_codes")
    base = revision(tmp_path, "base", {"one.py": one, "dicom_codes.py": OTHER})
    changed = one.replace(
        "from pkg import dicom_codes", "from pkg.dicom import codes as dicom_codes"
    )
    now = revision(tmp_path, "now", {"one.py": changed, "dicom/codes.py": OTHER})
    assert judge("g", base, now).accepted


def test_a_case_that_fails_now_is_refused_and_one_that_failed_before_is_named(tmp_path):
    base = revision(tmp_path, "base", {"one.py": OLD})
    now = revision(tmp_path, "now", {"one.py": OLD})
    now.found["cases"]["more"] = {"groups": ["g"], "digests": {"weights": "w"}}
    base.found["cases"]["more"] = {"groups": ["g"], "digests": {}, "error": "unknown option"}
    found = judge("g", base, now)
    assert found.accepted
    assert found.not_compared == ["more: unknown option"]
    now.found["cases"]["c"]["error"] = "broken"
    assert not judge("g", base, now).accepted


def test_only_groups_that_are_accepted_and_have_changed_are_written(tmp_path):
    base = revision(tmp_path, "base", {"one.py": OLD})
    same = revision(tmp_path, "same", {"one.py": OLD})
    moved = revision(tmp_path, "moved", {"two.py": OLD}, hash_="new")
    wrong = revision(tmp_path, "wrong", {"two.py": OLD}, hash_="new", digest="e")
    path = tmp_path / "written.json"
    for now, groups in ((same, {}), (wrong, {}), (moved, {"g": ("h", "new")})):
        entry = entry_of("f" * 40, [judge("g", base, now)], now)
        assert {name: (one["old"], one["new"]) for name, one in entry["groups"].items()} == groups
        write(path, entry)
    content = read_json(path)
    assert content["format"] == FORMAT
    assert content["entries"][-1]["digests"] == {"c": {"weights": "d"}}


def test_every_option_of_every_task_has_a_case_away_from_its_default():
    for task, defaults in DEFAULTS.items():
        assert ALTERNATIVES[task].keys() == defaults.keys()
        for option, value in ALTERNATIVES[task].items():
            without = (defaults | LATER.get(task, {}))[option]
            assert value not in (without, SMALL.get(task, {}).get(option))
            assert any(
                link["task"] == task and link["settings"]["options"].get(option) == value
                for case in cases()
                for link in case["settings"].get("links", [])
            )


def test_every_later_setting_has_a_case_for_each_task():
    for task in DEFAULTS:
        for setting, before in LATER_SETTINGS.items():
            assert any(
                link["task"] == task and link["settings"].get(setting, before) != before
                for case in cases()
                for link in case["settings"].get("links", [])
            )


def test_a_revision_that_lacks_a_setting_says_so(tmp_path, monkeypatch):
    """It would train as if nothing had been asked, and the two could not be the same."""
    stage = link("rotation", settings={"last_batch": "fill"})
    monkeypatch.delattr(options, "LATER_SETTINGS")
    with pytest.raises(InputError, match="unknown setting last_batch"):
        Training(tmp_path)._stage(tmp_path, stage, None)
    Training(tmp_path)._stage(tmp_path, link("rotation"), None)


def test_every_group_and_every_variant_has_cases():
    for group in (*GROUPS, *DEFAULTS):
        assert only(cases(), [group])
    packed = {case["settings"]["variant"] for case in only(cases(), ["packs"])}
    assert packed == set(VARIANTS)
    names = [case["name"] for case in cases()]
    assert len(names) == len(set(names))


def test_a_check_passes_where_there_is_nothing_to_compare_with(tmp_path, monkeypatch, capsys):
    path = tmp_path / "written.json"
    monkeypatch.setattr(compare, "WRITTEN", path)
    assert compare.check(tmp_path, []) == 0
    present = compare.groups()["split"]["hash"]
    for new, told in (("other", "nothing to check"), (present, "nothing can be checked")):
        # No repository has this revision.
        write(path, {"base": "0" * 40, "groups": {"split": {"old": "x", "new": new}}})
        assert compare.check(tmp_path, []) == 0
        assert told in capsys.readouterr().out


def test_a_check_does_one_group_in_turn_or_those_asked_for(tmp_path, monkeypatch):
    present = {name: one["hash"] for name, one in compare.groups().items()}
    path, asked, head = tmp_path / "written.json", [], []
    groups = {name: {"old": "x", "new": present[name]} for name in ("split", "moco", "packs")}
    write(path, {"base": "base", "groups": groups})

    def record(base, folder, chosen, trust):
        asked.append(chosen)
        return [], None

    monkeypatch.setattr(compare, "WRITTEN", path)
    monkeypatch.setattr(compare, "compare", record)
    monkeypatch.setattr(compare, "commit", lambda name, root: head[-1] if name == "HEAD" else name)
    for number in range(3):
        head.append(f"{number:040x}")
        assert compare.check(tmp_path, []) == 0
    assert asked == [["moco"], ["packs"], ["split"]]
    assert compare.check(tmp_path, ["split", "packs"]) == 0
    assert sorted(asked[-1]) == ["packs", "split"]
    assert compare.check(tmp_path, ["swav"]) == 1


def test_a_revision_is_asked_all_that_it_knows(tmp_path):
    listed = cases()
    assert known_to(ROOT, listed) == listed
    new = {**listed[0], "settings": {"links": [link("rotation", {"unheard_of": 1})]}}
    other = {**listed[0], "settings": {"links": [link("moco") | {"task": "later"}]}}
    assert known_to(ROOT, [new, other]) == []
