"""The measurements of a GPU, tried without one: no part is lost, whatever fails, hangs or ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.gpu import table
from benchmarks.gpu.parts import hours
from benchmarks.gpu.record import default_path, headline
from benchmarks.gpu.runner import PARTS
from benchmarks.gpu.sizes import Sizes, thesis, thesis_batch
from benchmarks.training_floor import FLOORS
from sscdl.study.reading import read_config
from tests.conftest import ROOT

NAMES = [one.name for one in PARTS]
# On the machines that this is for, these are not there.
WITHOUT = """
import sys
from importlib.machinery import PathFinder
MISSING = {"snakemake", "pydicom", "timm", "tensorboardX", "jsonschema", "lightly", "SimpleITK",
           "pytest", "psutil"}
class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            return None
        return super().find_spec(name, path, target)
sys.meta_path[:] = [Without if one is PathFinder else one for one in sys.meta_path]
"""


def environment(*folders: Path) -> dict[str, str]:
    """Return the environment of a process that finds modules in ``folders``, too."""
    path = os.pathsep.join(map(str, [*folders, ROOT]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="session")
def found(tmp_path_factory: Any) -> dict[str, Any]:
    """Return what the whole command writes on the CPU, without the packages that may be missing."""
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "sitecustomize.py").write_text(WITHOUT)
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--tiny"]
    done = subprocess.run(
        [*command, "--out", str(folder / "out.json")],
        cwd=ROOT, env=environment(folder), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads((folder / "out.json").read_text())


def figures(found: dict[str, Any], part: str) -> list[dict[str, Any]]:
    """Return the figures of the cases of a part that were measured."""
    return [one["figures"] for one in found["records"] if one["part"] == part if "figures" in one]


def test_every_part_gives_a_record_without_the_packages_that_may_be_missing(found: Any) -> None:
    assert list(dict.fromkeys(one["part"] for one in found["records"])) == NAMES
    assert {one["status"] for one in found["records"]} <= {"done", "not here"}
    assert found["finished"]
    assert found["device"]["packages"] == ["cv2"]  # of those that it asks for


def test_what_is_the_same_on_the_cpu_is_found_to_be(found: Any) -> None:
    for one in figures(found, "weights"):
        assert one["float64"] == one["float32"] == one["losses"] == 0
        assert one["repeats"]
        assert one["as_run_repeats"]
    for one in figures(found, "waits"):
        assert one["a_step"] == {}
        assert 2 <= len(one["an_epoch"]) <= 3
    (together,) = figures(found, "together")
    assert max(together["deviation"].values()) < 1e-9
    assert all(together["ranks_agree"].values())
    (resumed,) = figures(found, "resume")
    assert resumed["same"]
    assert resumed["kills"] == resumed["went_on"] == 1
    assert {one["pixels_of_masks"] for one in figures(found, "segmenters")} == {0.0}


def test_rates_are_those_of_the_loop_and_of_its_floor(found: Any) -> None:
    for one in figures(found, "speed"):
        assert one["images_per_second"] > 0 < one["floor_images_per_second"]
        assert one["steps_per_second"] == pytest.approx(one["images_per_second"] / 4, rel=0.01)
    (compiled,) = figures(found, "bare")
    assert compiled["images_per_second"] > 0


def test_hours_are_those_of_the_thesis_s_grid(found: Any) -> None:
    (one,) = figures(found, "hours")
    assert one["nodes"] == 92
    assert one["not_timed"] == ["swav", "relloc", "rotation"]  # which the tiny run leaves out
    assert one["total"] == pytest.approx(sum(one["hours"].values()), abs=0.02)
    whole = read_config([ROOT / "config/thesis.yaml"])
    assert hours.images_shown(thesis()) == hours.images_shown(whole)


def test_on_a_gpu_every_task_with_a_floor_is_timed_at_the_thesis_s_batch_and_a_large_one() -> None:
    from benchmarks.gpu.parts import bare, speed

    sizes = Sizes("cuda")
    cases = [case for case in speed.cases(sizes) if case.startswith("resnet50 ")]
    batches = {name: [thesis_batch(name), 256] for name in FLOORS}
    assert batches["swav"] == [8, 256]
    assert set(cases) == {f"resnet50 {name} {one}" for name in FLOORS for one in batches[name]}
    assert [case.split()[2] for case in cases[len(FLOORS) :]] == ["256"] * len(FLOORS)
    compiled = [case for case in bare.cases(sizes) if case.endswith("compiled")]
    assert compiled[0] == "resnet50 classify 64 compiled"
    assert len(compiled) == len(FLOORS)


BROKEN = {
    "raises": """
        def run(case, sizes, known):
            if case == "bad":
                raise ValueError("a reason")
            print("not among the answers")
            return {"known": len(known)}
        def cases(sizes):
            return ["bad", "good"]
    """,
    "dies": """
        import os, sys
        def run(case, sizes, known):
            if case == "bad":
                sys.stderr.write("last words\\n")
                sys.stderr.flush()
                os._exit(7)
            return {}
        def cases(sizes):
            return ["good", "bad", "better"]
    """,
    "hangs": """
        import os, pathlib, subprocess, time
        def run(case, sizes, known):
            if case == "bad":
                other = subprocess.Popen(["sleep", "1000"])
                pathlib.Path(__file__).with_name("pids").write_text(f"{os.getpid()} {other.pid}")
                time.sleep(1000)
            return {}
        def cases(sizes):
            return ["bad", "good"]
    """,
    "missing": "import nothing_of_that_name",
    "slow": """
        import time
        def run(case, sizes, known):
            time.sleep(0.5)
            return {}
        def cases(sizes):
            return [str(number) for number in range(100)]
    """,
}


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Return a folder with modules of parts that do not go well, in its folder ``broken``."""
    import textwrap

    (tmp_path / "broken").mkdir()
    for name, text in BROKEN.items():
        (tmp_path / "broken" / f"{name}.py").write_text(textwrap.dedent(text))
    return tmp_path


def run_parts(folder: Path, seconds: float, parts: str) -> dict[str, Any]:
    """Run ``parts`` (an expression) in a process for so many seconds; return the file."""
    code = f"""
import time
from pathlib import Path
from benchmarks.gpu import runner
from benchmarks.gpu.record import Results
from benchmarks.gpu.runner import Part, Runner
from benchmarks.gpu.sizes import Sizes
runner.PRELOADED = []
now = time.monotonic()
results = Results(Path({str(folder / "out.json")!r}), minutes=1, revision="", began="")
Runner(results, Sizes("cpu"), now + {seconds}, now).run({parts})
results.describe(finished=True)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment(folder), check=True)
    return json.loads((folder / "out.json").read_text())


def alive(number: str) -> bool:
    """Return whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(broken: Path) -> bool:
    """Return whether the part that hangs, and what it has started, end within some seconds."""
    pids, deadline = (broken / "broken/pids").read_text().split(), time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_what_fails_is_recorded_and_the_rest_goes_on(broken: Path) -> None:
    parts = ", ".join(
        f"Part('broken.{name}', 60.0, {2.0 if name == 'hangs' else 60.0})"
        for name in ("raises", "dies", "hangs", "missing", "raises")
    )
    records = run_parts(broken, 300, f"[{parts}]")["records"]
    said = [(one["part"], one["case"], one["status"]) for one in records]
    assert said == [
        ("raises", "bad", "failed"),
        ("raises", "good", "done"),
        ("dies", "good", "done"),
        ("dies", "bad", "failed"),
        ("dies", "better", "done"),
        ("hangs", "bad", "failed"),
        ("hangs", "good", "done"),
        ("missing", "all", "failed"),
    ]
    errors = [one.get("error", "") for one in records]
    assert headline(errors[0]) == "ValueError: a reason"
    assert errors[3].split() == ["ended", "with", "status", "7", "last", "words"]
    assert headline(errors[5]).startswith("was ended after")
    assert "nothing_of_that_name" in errors[7]
    assert records[1]["figures"] == {"known": 1}
    assert ended(broken), "what a part started ends with it"


def test_when_the_minutes_are_over_the_file_is_whole_and_says_what_is_left(broken: Path) -> None:
    began = time.monotonic()
    results = run_parts(broken, 18, "[Part('broken.slow', 600.0), Part('broken.raises', 60.0)]")
    assert time.monotonic() - began < 60
    assert results["finished"]
    slow = [one for one in results["records"] if one["part"] == "slow"]
    assert {one["status"] for one in slow} == {"done", "no time"}
    assert [one["case"] for one in slow] == list(map(str, range(100)))
    # The last part, which is made of the others' figures, has its time.
    assert [one["status"] for one in results["records"] if one["part"] == "raises"] == [
        "failed", "done",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_a_whole_file_and_no_process(broken: Path, number: int) -> None:
    out = broken / "out.json"
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--out", str(out)]
    with subprocess.Popen(
        [*command, "--only", "broken.raises", "broken.hangs"],
        cwd=ROOT, env=environment(broken), stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 120
        while not (broken / "broken/pids").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        process.wait()
    results = json.loads(out.read_text())
    assert [one["case"] for one in results["records"]] == ["bad", "good"]
    assert not results["finished"]
    assert ended(broken)


def test_the_table_is_made_of_all_files(found: Any, tmp_path: Path, capsys: Any) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n\n{table.BEGIN}\n{table.END}\nafter\n")
    given = {"readme": readme, "folder": tmp_path}
    assert table.main(check=True, **given) == 1
    assert "run that" in capsys.readouterr().out
    assert table.main(check=False, **given) == 0
    assert table.NOTHING in readme.read_text()
    failure = {"part": "waits", "case": "x", "status": "failed", "seconds": 1.0}
    failure["error"] = "Traceback:\n  a | line\nRuntimeError: a | reason"
    results = {**found, "records": [*found["records"], failure]}
    file = tmp_path / default_path("NVIDIA H200 (80 GB)").name
    assert file.name == "gpu-nvidia-h200-80-gb.json"
    file.write_text(json.dumps(results))
    assert table.main(check=True, **given) == 1
    assert table.main(check=False, **given) == 0
    assert table.main(check=True, **given) == 0
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {4, 10}
    assert any(row.startswith("| resnet18 moco 4 |") for row in rows)
    assert "| waits | x | **failed**: RuntimeError: a / reason |" in rows
    assert any(row.startswith("| together | nccl float64 | **not here**: NCCL") for row in rows)


def test_the_table_in_the_measurements_is_the_one_that_would_be_made() -> None:
    assert table.main(check=True) == 0
