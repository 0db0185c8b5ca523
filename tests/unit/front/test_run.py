"""``sscdl run``: which words Snakemake gets, and that it takes the place of the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from snakemake.cli import parse_args

from sscdl.errors import InputError
from sscdl.front import run
from tests.conftest import ROOT

# Stands where Snakemake would, says what it was called with, and ends as it is told.
SNAKEMAKE = """
import json, os, signal, sys
def interrupted(number, frame):
    print("interrupted", flush=True)
    sys.exit(77)
signal.signal(signal.SIGINT, interrupted)
safe = bool(sys.flags.safe_path)
print(json.dumps({"words": sys.argv[1:], "pid": os.getpid(), "safe": safe}), flush=True)
if "wait" in sys.argv:
    signal.pause()
sys.exit(7)
"""


@pytest.fixture
def begun(tmp_path):
    """Return a function that starts ``sscdl run`` with other words in place of Snakemake."""
    (tmp_path / "other/snakemake").mkdir(parents=True)
    (tmp_path / "other/snakemake/__init__.py").touch()
    (tmp_path / "other/snakemake/__main__.py").write_text(SNAKEMAKE)
    paths = os.pathsep.join([str(tmp_path / "other"), str(ROOT)])

    def begin(*words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "sscdl", "run", *words], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip

    return begin


def test_snakemake_takes_the_place_of_the_command_with_its_exit_status(begun, tmp_path):
    (tmp_path / "mine.yaml").write_text("study: mine\n")
    process = begun("mine.yaml", "tables", "-n", "--config", "seeds=[1]", "--", "--quiet", "rules")
    told = json.loads(process.communicate()[0])
    assert process.returncode == 7
    assert told["pid"] == process.pid
    assert told["safe"], "a folder of that name in the working directory is not the package"
    words = told["words"]
    assert words[-6:] == ["--cores", "all", "tables", "--quiet", "rules", "--dry-run"]
    assert words[words.index("--config") + 1] == "seeds=[1]"
    assert words[words.index("--configfile") + 1] == "mine.yaml"


def test_an_interrupt_is_snakemakes(begun, tmp_path):
    (tmp_path / "mine.yaml").write_text("study: mine\n")
    process = begun("mine.yaml", "wait")
    assert json.loads(process.stdout.readline())["pid"] == process.pid
    process.send_signal(signal.SIGINT)
    assert process.communicate()[0] == "interrupted\n"
    assert process.returncode == 77


def test_the_words_for_snakemake():
    words = run.snakemake_command(
        [Path("a.yaml"), Path("b.yaml")], ["plan"], cores="3", gpus=2, settings=["x=1", "y=2"],
        further=["--cores", "1"],
    )  # fmt: skip
    assert words == [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--workflow-profile", str(ROOT / "profiles/default"), "--configfile", "a.yaml", "b.yaml",
        "--config", "x=1", "y=2", "--resources", "gpu=2", "--cores", "3", "plan", "--cores", "1",
    ]  # fmt: skip


@pytest.mark.parametrize("settings", [[], ["seeds=[1]"]])
@pytest.mark.parametrize(("targets", "further"), [([], ["tables", "-n"]), (["tables"], ["-n"])])
def test_snakemake_takes_targets_for_targets_wherever_they_stand(settings, targets, further):
    words = run.snakemake_command(
        [Path("a.yaml")], targets, cores="2", gpus=1, settings=settings, further=further
    )
    _, read = parse_args(words[3:])
    assert (read.targets, read.cores, read.dryrun) == (["tables"], 2, True)
    assert [Path(one).name for one in read.configfile] == ["a.yaml"]
    assert (read.config or []) == settings


def test_the_study_comes_before_the_targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b.yaml").write_text("study: b\n")
    with pytest.raises(InputError, match="plan: the study file comes first: `.* run b.yaml plan`"):
        run.main(["plan", "b.yaml"])
    with pytest.raises(InputError, match=r"run STUDY.yaml tables`"):
        run.main(["tables"])
    Path("b.yaml").write_text("study: a\nstudy: b\n")
    with pytest.raises(InputError, match=r"b\.yaml, lines 1 and 2"):
        run.main(["segmenter", "b.yaml"])  # is a target, and a configuration of the project


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-j", "4"], "-j: is no option of run; --cores 4 is .*run FILE -- -j 4"),
        (["-j4"], "-j4: is no option of run; --cores 4"),
        (["--forceall"], "--forceall: is no option of run; words .*run FILE -- --forceall"),
        (["tabels"], "tabels: is no target; did you mean tables"),
        (["figure"], "figure: is no target; did you mean figures"),
    ],
)
def test_words_that_are_none_are_told_what_is_meant(tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    Path("b.yaml").write_text("study: b\n")
    with pytest.raises(InputError, match=said):
        run.main(["b.yaml", *words])


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], True),
        (["tables"], True),
        (["plan", "tables"], True),
        (["plan"], False),
        (["--dry-run"], False),
        (["tables", "-n"], False),
        (["--", "plan"], False),
        (["plan", "--", "tables"], True),
        (["--", "--dryrun"], False),
        (["--", "--resources", "gpu=2"], False),
        (["--", "--resources=gpu=2"], False),
        (["--", "--quiet"], True),
    ],
)
def test_gpus_are_counted_only_where_stages_may_train(tmp_path, monkeypatch, words, asked):
    monkeypatch.chdir(tmp_path)
    Path("b.yaml").write_text("study: b\n")
    counted, begun = [], []
    monkeypatch.setattr(run, "count_gpus", lambda: counted.append(1) or 3)
    monkeypatch.setenv("PYTHONSAFEPATH", "")  # which is set, and put back
    monkeypatch.setattr(run.os, "execv", lambda _, command: begun.append(command))
    run.main(["b.yaml", *words])
    assert len(counted) == asked
    assert f"gpu={3 if asked else 1}" in begun[0]


def test_the_workflow_is_read_once_for_all_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("b.yaml").write_text("study: b\n")
    read, known = [], run.known_targets()
    monkeypatch.setattr(run, "known_targets", lambda: read.append(1) or known)
    with pytest.raises(InputError, match="tabels: is no target"):
        run.main(["b.yaml", "plan", "figures", "tabels"])
    assert len(read) == 1


def test_every_rule_that_stands_in_the_workflow_is_a_target():
    assert {"all", "plan", "tables", "figures", "summary", "images"} <= set(run.known_targets())


@pytest.mark.parametrize("cores", ["0", "-1", "many", "1.5", ""])
def test_no_number_of_cores_is_refused(cores):
    with pytest.raises(InputError, match="--cores .*or all"):
        run.snakemake_command([], [], cores=cores, gpus=1)


def test_a_target_behind_settings_is_refused():
    with pytest.raises(InputError, match="--config tables: .*before --config"):
        run.snakemake_command([], [], cores="1", gpus=1, settings=["seeds=[1]", "tables"])


def test_a_configuration_of_the_project_is_known_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run.find_config("demo") == ROOT / "config/demo.yaml"
    assert run.find_config("thesis-shape.yaml") == ROOT / "config/thesis-shape.yaml"
    (tmp_path / "demo.yaml").touch()
    assert run.find_config("demo.yaml") == Path("demo.yaml"), "a file of the user's own is meant"
    assert run.find_config("demo") == ROOT / "config/demo.yaml"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("dmo", "dmo: there is no such file.*did you mean demo"),
        ("mine", r"did you mean mine\.yaml"),
        ("mien.yaml", r"mien.yaml: .*did you mean mine\.yaml"),
        ("below/mien.yaml", r"did you mean below/mine\.yaml"),
        ("config", "there is no such file"),  # the defaults are no study
        ("below", "is a folder"),
        ("xxxxxxxxxx", "new` writes one"),
    ],
)
def test_a_configuration_that_is_not_there(tmp_path, monkeypatch, word, said):
    (tmp_path / "below").mkdir()
    for name in ("mine.yaml", "below/mine.yaml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=said):
        run.find_config(word)


def test_a_damaged_file_is_named_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("study: a\nstudy: b\n")
    with pytest.raises(InputError, match=r"mine\.yaml, lines 1 and 2: key 'study' is there twice"):
        run.main(["mine.yaml"])
    with pytest.raises(InputError, match=r"mine\.yaml, lines 1 and 2"):
        run.main(["demo", "mine.yaml", "tables"])


def test_without_words_the_configurations_of_the_project_are_listed(capsys):
    assert run.main([]) == 2
    said = capsys.readouterr().out
    names = {path.stem for path in ROOT.glob("config/*.yaml")} - {"config"}
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ")} == names
    first = (ROOT / "config/demo.yaml").read_text(encoding="utf-8").partition(".")[0]
    assert f"{first.lstrip('# ')}." in said
    assert max(map(len, said.splitlines())) <= 120


def test_gpus_are_counted_as_torch_does(monkeypatch):
    monkeypatch.setattr(run, "_DRIVERS", ("/dev/null",))
    assert run.count_gpus() == torch.cuda.device_count()
    monkeypatch.setattr(run, "_COUNT", "print('1 warning'); print(3)")
    assert run.count_gpus() == 3
    monkeypatch.setattr(run, "_COUNT", "raise ImportError")
    with pytest.raises(InputError, match="torch cannot say"):
        run.count_gpus()


def test_without_a_driver_torch_is_not_asked(monkeypatch):
    monkeypatch.setattr(run, "_DRIVERS", ("/dev/no-such-device",))
    monkeypatch.setattr(run, "_COUNT", "raise ImportError")
    assert run.count_gpus() == 0
