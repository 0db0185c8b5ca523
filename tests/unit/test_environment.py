"""Locked versions, those of the conda environment, and the documented commands agree."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from sscdl.model.source import read_study
from sscdl.study.outputs import (
    CURVES,
    FIGURES,
    MAPS,
    OF_FINDINGS,
    OF_PREDICTIONS,
    ON_REQUEST,
    PAGED,
)
from sscdl.study.thesis import THESIS_TABLES
from tests.conftest import ROOT


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if "==" in line]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def direct() -> list[str]:
    lines = (ROOT / "requirements.in").read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def test_every_direct_requirement_is_locked():
    for name in direct():
        assert name.lower() in locked()


def test_whatever_is_imported_is_a_direct_requirement():
    """What other packages bring along, or developers alone have, a user's machine may lack."""
    owners = metadata.packages_distributions()
    asked = {re.sub(r"[-_.]+", "-", name).lower() for name in direct()}
    own = {"sscdl", *sys.stdlib_module_names}
    for path in [*ROOT.glob("sscdl/**/*.py"), *ROOT.glob("workflow/scripts/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for top in {name.partition(".")[0] for name in names} - own:
                found = {re.sub(r"[-_.]+", "-", one).lower() for one in owners.get(top, ())}
                assert found & asked, f"{path}: {top}"


def needed() -> set[str]:
    """Return what runs need: what is asked for, and what that asks for in turn."""
    todo, found = direct(), set()
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in found:
            continue
        found.add(name)
        asked = [Requirement(one) for one in metadata.requires(name) or []]
        todo += [one.name for one in asked if not one.marker or one.marker.evaluate({"extra": ""})]
    return found


def test_nothing_that_runs_need_is_under_the_gpl_alone():
    assert {"torch", "imagecodecs", "docutils"} < needed()
    for name in needed():
        described = metadata.metadata(name)
        marks = [one for one in described.get_all("Classifier") or [] if "License ::" in one]
        stated = described.get("License-Expression") or described.get("License") or ""
        assert not re.match(r"\W*(A?GPL|GNU)", stated), f"{name}: {stated}"
        gnu = [one for one in marks if "General Public License" in one and "Lesser" not in one]
        assert not gnu or len(gnu) < len(marks), f"{name}: {gnu}"


def test_the_conda_environment_has_the_locked_versions():
    described = yaml.safe_load((ROOT / "envs/sscdl.yaml").read_text())
    pins = next(item["pip"] for item in described["dependencies"] if isinstance(item, dict))
    assert pins == [f"{name}=={locked()[name.lower()]}" for name in direct()]
    cpu = yaml.safe_load((ROOT / "envs/sscdl-cpu.yaml").read_text())
    index, *builds = next(item["pip"] for item in cpu["dependencies"] if isinstance(item, dict))
    assert index == "--extra-index-url https://download.pytorch.org/whl/cpu"
    assert [pin.removesuffix("+cpu") for pin in builds] == pins
    assert [pin for pin in builds if pin.endswith("+cpu")] == [
        f"{name}=={locked()[name]}+cpu" for name in ("torch", "torchvision")
    ]


def test_the_container_has_the_locked_versions_and_all_that_the_workflow_reads():
    recipe = (ROOT / "envs/Dockerfile").read_text()
    conda = yaml.safe_load((ROOT / "envs/sscdl.yaml").read_text())["dependencies"]
    python = next(str(one) for one in conda if str(one).startswith("python="))
    assert f"FROM python:{python.removeprefix('python=')}-slim" in recipe
    assert "--requirement /opt/sscdl/requirements.in --constraint /opt/sscdl/req" in recipe
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", recipe, flags=re.M)
              for word in line.split()}  # fmt: skip
    assert all((ROOT / name).exists() for name in copied)
    assert {"Snakefile", "config", "profiles", "resources", "sscdl", "workflow"} <= copied


def test_a_wheel_carries_what_belongs_to_the_project_and_nothing_beside_it(tmp_path):
    """What else lies in these folders of a checkout may name somebody's folders, and their key."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stdout:
        pytest.skip("no checkout: git does not know which files belong to the project")
    names = runpy.run_path(str(ROOT / "setup.py"), run_name="setup")["carried"]()
    tops = {name.partition("/")[0] for name in names}
    tracked = {one for one in done.stdout.splitlines() if one.partition("/")[0] in tops}
    assert {"Snakefile", "config", "profiles", "resources", "workflow"} <= tops

    def held(file: str) -> bool:
        return any(file == name or file.startswith(f"{name}/") for name in names)

    assert all(map(held, tracked))
    for private in ("config/mine.yaml", "profiles/mine/config.yaml", "resources/mine.json"):
        assert not held(private)


def test_the_catalog_finds_what_it_reads():
    described = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())
    assert described["usage"]["software-stack-deployment"]["conda"] is True
    assert described["usage"]["mandatory-flags"]["flags"] in (ROOT / "README.md").read_text()
    assert 'include: "../Snakefile"' in (ROOT / "workflow/Snakefile").read_text()


PAGES = ["README.md", "config/README.md", *(f"docs/{one.name}" for one in ROOT.glob("docs/*.md"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings of a page have where it is shown."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES)
def test_documented_files_and_targets_exist(page):
    text = (ROOT / page).read_text()
    for name in re.findall(r"config/[a-z-]+\.yaml", text):
        assert (ROOT / name).is_file(), name
    for name in re.findall(r"^make ([\w-]+)", text, flags=re.MULTILINE):
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), name
    for link, anchor in re.findall(r"\]\((?!http)([\w/.-]*)(?:#([\w-]+))?\)", text):
        target = (ROOT / page).parent / link if link else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def test_the_study_in_the_readme_is_a_valid_one(tmp_path):
    """What a newcomer copies works but for the folder and the names of columns and labels."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    rows = [f"{n}.png,p{n},{'normal' if n % 2 else 'pneumonia'}" for n in range(40)]
    for n in range(40):
        (tmp_path / f"{n}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "labels.csv").write_text("\n".join(["path,patient_id,finding", *rows]) + "\n")
    (tmp_path / "mine.yaml").write_text(text.replace("/data/mine", str(tmp_path)))
    study = read_study([tmp_path / "mine.yaml"], [], tmp_path / "store")
    study.check()
    names = {node.name for node in study.nodes.values()}
    assert {"moco", "moco+rotation", "moco+rotation+classify", "classify"} <= names


def test_all_that_a_report_lists_has_a_caption():
    """Without it the report fails when all is trained."""
    outputs = (ROOT / "workflow/rules/outputs.smk").read_text()
    assert 'f"../report/{name}{end}.rst"' in outputs
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    named = set(re.findall(r'in_report\("([\w.]+)"\)', rules))
    kinds = {f"thesis_{one.kind}" for one in THESIS_TABLES.values()}
    figures = {f"figure_{name}" for name in (*FIGURES, CURVES, MAPS, *PAGED)}
    for name in named | kinds | figures | {*OF_FINDINGS, *OF_PREDICTIONS, *ON_REQUEST}:
        assert (ROOT / f"workflow/report/{name}.rst").read_text().strip(), name
    assert {"summary", "trainings", "search"} <= named


def test_captions_say_what_a_study_of_their_kind_has():
    """A study has classes or findings: no caption tells of the other one in passing."""
    captions = {path.stem: path.read_text() for path in (ROOT / "workflow/report").glob("*.rst")}
    own = {name for name in captions if name.endswith("_of_findings")}
    assert own == {
        *("figure_4.2_validation_curves_of_findings", "figure_comparisons_of_findings"),
        "figure_dataset_of_findings",
    }
    for name in own:
        assert captions.keys() >= {name.removesuffix("_of_findings")}
        assert "findings" in captions[name]
        assert not re.search("alanced accuracy|class(es)?\\b", captions[name]), name
    assert not [name for name in captions if "(of findings" in captions[name]]


def test_every_page_is_reached_from_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert [page for page in PAGES[1:] if f"]({page}" not in readme] == []


def test_coverage_counts_what_runs_in_other_processes(tmp_path):
    """As make coverage does it: of a process that ends at once, and in another folder."""
    (tmp_path / "elsewhere").mkdir()
    inner = "import os, sscdl.magic; os._exit(0)"
    start = f"subprocess.run([sys.executable, '-c', {inner!r}], cwd='elsewhere', check=True)"
    (tmp_path / "outer.py").write_text(f"import subprocess, sys; {start}")
    told = f"--rcfile={ROOT / 'pyproject.toml'}"
    # This test may itself be measured.
    environment = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    for command in (["run", told, "outer.py"], ["combine", told], ["report", told]):
        done = subprocess.run(
            [sys.executable, "-m", "coverage", *command], cwd=tmp_path, text=True, check=True,
            env={**environment, "PYTHONPATH": str(ROOT)}, capture_output=True,
        )  # fmt: skip
    shares = dict(re.findall(r"sscdl/(\w+)\.py .* (\d+)% ", done.stdout))
    assert int(shares["magic"]) > 0
    assert int(shares["records"]) == 0  # which nobody imported


def make(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make without what this machine's user has set for pip."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return subprocess.run(
        ["make", f"PYTHON={sys.executable}", *words], cwd=ROOT, text=True, capture_output=True,
        env={**kept, "PIP_CONFIG_FILE": os.devnull, **environment}, check=False,
    )  # fmt: skip


def test_the_build_of_torch_without_a_gpu_comes_from_its_index(tmp_path):
    """From a folder in its place; nothing is asked of the network."""
    for name in ("torch", "torchvision"):
        version = f"{locked()[name]}+cpu"
        about = f"{name}-{version}.dist-info"
        page = tmp_path / "index" / name / "index.html"
        page.parent.mkdir(parents=True)
        wheel = f"{name}-{version}-py3-none-any.whl"
        page.write_text(f'<a href="{wheel.replace("+", "%2B")}">{wheel}</a>')
        with zipfile.ZipFile(page.parent / wheel, "w") as file:
            named = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            file.writestr(f"{about}/METADATA", f"{named}Requires-Dist: none-such\n")
            file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            file.writestr(f"{about}/RECORD", "")
    venv = tmp_path / "venv"
    index = f"TORCH_INDEX={(tmp_path / 'index').as_uri()}"
    done = make(f"VENV={venv}", "TORCH=cpu", index, str(venv / "torch-cpu.ok"))
    assert done.returncode == 0, done.stderr
    found = next(venv.glob("lib/python*/site-packages"))
    versions = {one.name: one.version for one in metadata.distributions(path=[str(found)])}
    assert versions["torch"] == f"{locked()['torch']}+cpu"
    assert versions["torchvision"] == f"{locked()['torchvision']}+cpu"


def test_torch_comes_before_what_would_bring_another_build(tmp_path):
    venv = f"VENV={tmp_path / 'venv'}"
    for target in ("demo", "install", "test"):
        told = make("-n", target, venv, "TORCH=cpu").stdout
        assert "https://download.pytorch.org/whl/cpu" in told, target
        assert told.index("whl/cpu") < told.index("--requirement requirements"), target
        assert "whl/cpu" not in make("-n", target, venv).stdout, target
    refused = make("-n", "install", venv, "TORCH=cuda")
    assert refused.returncode
    assert "TORCH=cuda: TORCH=cpu is the only other build" in refused.stderr
