"""A store that two users of the system share: the second trains only what the first has not."""

from __future__ import annotations

import copy
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workflow.conftest import TINY, Runner

NOBODY = 65534  # the user that every system has
GROUP = 65533  # a group of the test's own, in which both users are

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def shared(study):
    """Return a folder of the group with a copy of a store that root has filled."""
    folder = Path(tempfile.mkdtemp(prefix="sscdl-shared-"))
    shutil.copytree(study.folder.parent / "store", folder / "store")
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, 0, GROUP)
        # What the README asks for: group-writable, and a setgid bit on folders.
        path.chmod(0o2775 if path.is_dir() else 0o664)
    yield folder
    shutil.rmtree(folder)


def as_nobody() -> list[str]:
    """Return the command that makes what follows run as another user, or skip the test.

    Where root's own Python lies in a folder that nobody else may enter, as on many machines, the
    other user may read everything, but writes what its user and group may write, and no more.
    """
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv to become another user with")
    change = ["setpriv", f"--reuid={NOBODY}", f"--regid={GROUP}", "--clear-groups"]
    # By way of a shell, as jobs are started: what setpriv itself starts may do more.
    needed = ["sh", "-c", f"{sys.executable} -c 'open(\"{ROOT / 'Snakefile'}\")'"]
    reads = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    for command in (change, [*change, *reads]):
        if subprocess.run([*command, *needed], capture_output=True).returncode == 0:
            return command
    pytest.skip("another user cannot run this Python here")


def run_as_nobody(runner: Runner, *arguments: str) -> subprocess.CompletedProcess:
    command = [*as_nobody(), *runner.command(*arguments)]
    os.chown(runner.folder, NOBODY, GROUP)
    return subprocess.run(
        command, cwd=runner.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**runner.environment, "HOME": str(runner.folder), "PYTHONDONTWRITEBYTECODE": "1"},
        umask=0o002, check=False,
    )  # fmt: skip


def test_another_user_shares_prefixes_and_adds_to_the_store(study, shared):
    config = copy.deepcopy(TINY)
    config |= {"study": "theirs", "curricula": ["rotation+moco"], "variants": ["full"]}
    # Rates that no other test has: what those train in the same store would be found here.
    config["stages"]["moco"]["learning_rates"] = [0.02, 0.04]
    theirs = Runner(shared / "work", config)
    before = {path.name for path in (shared / "store" / "recipes").iterdir()}
    done = run_as_nobody(theirs, "tables")
    assert done.returncode == 0, done.stdout[-3000:]
    after = {path.name for path in (shared / "store" / "recipes").iterdir()}
    assert sorted(name.split(".")[0] for name in after - before) == [
        "rotation+moco", "rotation+moco+classify",
    ]  # fmt: skip
    for path in (shared / "store").rglob("*"):
        mode = path.stat().st_mode
        assert not mode & stat.S_IWOTH, f"{path} is writable for all"
        if path.stat().st_uid == NOBODY and path.parent.name != "locks":
            assert path.stat().st_gid == GROUP, path
            assert mode & stat.S_IRGRP, f"{path} is not readable for the group"
    # And the first user goes on with what the second has trained.
    mine = Runner(shared / "mine", config | {"study": "mine"})
    assert "0 of" not in mine("pretrain")
    assert {path.name for path in (shared / "store" / "recipes").iterdir()} == after


def test_a_store_that_is_read_only_is_named_before_the_first_job():
    folder = Path(tempfile.mkdtemp(prefix="sscdl-closed-"))
    try:
        folder.chmod(0o755)  # root's, and nobody may only look
        config = copy.deepcopy(TINY) | {"store": str(folder / "store"), "study": "closed"}
        (folder / "work").mkdir()
        done = run_as_nobody(Runner(folder / "work", config), "images")
        assert done.returncode != 0
        assert f"{folder}: read-only for you" in done.stdout.splitlines()[-1]
        assert "Execute " not in done.stdout
    finally:
        shutil.rmtree(folder)
