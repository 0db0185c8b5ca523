"""Run a study in the folder where this is called: results/ and store/ are made in it.

python -m sscdl run STUDY.yaml [MORE.yaml ...] [TARGET ...] [--dry-run] [--cores N]
                    [--config KEY=VALUE ...] [-- WORD ...]

STUDY is a file, or the name of a configuration that comes with the project, such as demo; further
files are laid over it. Without a target all results are made: plan only says what would be trained
and how long that takes, tables, figures and others make a part. Run the same command again after
whatever stopped it. The work is done by Snakemake; what stands behind -- goes to it as it is.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from sscdl.command_line import called, command_parser
from sscdl.errors import InputError
from sscdl.files import HOME
from sscdl.study.config_files import DEFAULTS, read_yaml
from sscdl.words import nearest

SUFFIXES = (".yaml", ".yml")
# What a driver of GPUs makes: NVIDIA's, that of WSL, AMD's.
_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
_NEARLY = 0.8  # so alike is a word that is a target misspelt
_COUNT = "import torch; print(torch.cuda.device_count())"


def main(arguments: list[str] | None = None) -> int:
    """Become Snakemake, whose exit status and signals are the command's.

    Without words, list the configurations that come with the project; 2 as nothing was run.
    """
    given = sys.argv[1:] if arguments is None else arguments
    own, further = _parted(given)
    parser = command_parser(__doc__, "run")
    parser.add_argument("words", nargs="*", metavar="STUDY", help="study, more files, targets")
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="only show what would be run, and why"
    )
    parser.add_argument("--cores", default="all", metavar="N", help="CPU cores (default: all)")
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="keys that go over the files'"
    )
    options, unknown = parser.parse_known_intermixed_args(own)
    if unknown:
        raise InputError(_unknown(unknown[0]))
    if not options.words:
        print(f"usage: {called()} run STUDY.yaml [TARGET ...]   (more: {called()} run --help)\n")
        print("STUDY may also be one of these, which come with the project:")
        for name, about in shipped().items():
            print(f"  {name:18} {textwrap.shorten(about, 98, placeholder=' ...')}")
        return 2
    files, targets = _sorted_out(options.words)
    command = snakemake_command(
        files,
        targets,
        cores=options.cores,
        gpus=max(count_gpus(), 1) if _trains(options, targets, further) else 1,
        settings=options.config,
        further=[*further, *(["--dry-run"] if options.dry_run else [])],
    )
    # The package and Snakemake are those of this Python, whatever lies in the working directory.
    os.environ["PYTHONSAFEPATH"] = "1"
    sys.stdout.flush()
    os.execv(command[0], command)


def snakemake_command(
    files: Sequence[Path],
    targets: Sequence[str],
    *,
    cores: str,
    gpus: int,
    settings: Sequence[str] = (),
    further: Sequence[str] = (),
) -> list[str]:
    """Return the words that run the workflow with this Python's Snakemake.

    Args:
        files: configuration files, later ones over earlier ones.
        targets: what to make, all results if empty.
        cores: number of CPU cores, or ``all``.
        gpus: number of stages that train at a time, each on a GPU of its own if there is one.
        settings: texts ``key=value`` that go over the files.
        further: words for Snakemake, which win over those that are chosen here.

    Raises InputError for a number of cores or a setting that is none.
    """
    if cores != "all" and not re.fullmatch(r"[1-9]\d{0,4}", cores):
        raise InputError(f"--cores {cores}: give a number of CPU cores from 1 on, or all")
    for text in settings:
        if not re.match(r"\w+=", text):
            raise InputError(
                f"--config {text}: give it as key=value; files and targets stand before --config"
            )
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(HOME / "Snakefile")),
        # That of a checkout: Snakemake would rather take one from the working directory.
        *("--workflow-profile", str(HOME / "profiles" / "default")),
        *("--configfile", *map(str, files)),
        *(("--config", *settings) if settings else ()),
        # Options that take several words would take the targets, too, and those that are further.
        *("--resources", f"gpu={gpus}", "--cores", cores),
        *targets,
        *further,
    ]


def shipped() -> dict[str, str]:
    """Return what the configurations that come with the project are for, by their names."""
    found = {}
    for path in sorted(DEFAULTS.parent.glob("*.yaml")):
        if path != DEFAULTS:
            lines = path.read_text(encoding="utf-8").splitlines()
            comment = " ".join(line.lstrip("# ") for line in lines[: _first_key(lines)])
            found[path.stem] = re.split(r"(?<=\.) (?=[A-Z])", comment)[0]
    return found


def find_config(word: str) -> Path:
    """Return the configuration file that ``word`` means: a file, or one that the project has.

    Raises InputError that names the likeliest one if there is none.
    """
    path = Path(word)
    if path.is_file():
        return path
    names = list(shipped())
    name = word.removesuffix(".yaml")
    if name in names:
        return DEFAULTS.with_name(f"{name}.yaml")
    folder = path.parent
    files = [str(one) for suffix in SUFFIXES for one in sorted(folder.glob(f"*{suffix}"))]
    near = next((one for one in files if Path(one).stem == path.stem), "")
    near = near or nearest(word, [*files, *names])
    kind = "is a folder and no configuration file" if path.is_dir() else "there is no such file"
    hint = f"did you mean {near}?" if near else f"`{called()} new` writes one"
    raise InputError(
        f"{word}: {kind}, and none of that name comes with the project (`{called()} run` lists "
        f"those); {hint}"
    )


def count_gpus() -> int:
    """Return how many GPUs torch sees, in a process of its own; 0 without a driver at once."""
    if not any(map(os.path.exists, _DRIVERS)):
        return 0
    done = subprocess.run(
        [sys.executable, "-P", "-c", _COUNT], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise InputError(
            "torch cannot say how many GPUs there are, for the reason above; repair its "
            "installation: no stage could be trained"
        )
    return int(done.stdout.split()[-1])


def _trains(options: argparse.Namespace, targets: Sequence[str], further: Sequence[str]) -> bool:
    """Return whether stages may train, as many at a time as there are GPUs.

    A dry run and the plan train none, and ``--resources`` behind ``--`` says itself how many.
    """
    told = any(word.split("=")[0] in ("--resources", "--res") for word in further)
    dry = options.dry_run or not {"-n", "--dry-run", "--dryrun"}.isdisjoint(further)
    asked = {*targets, *(word for word in further if not word.startswith("-"))}
    return not (told or dry or asked == {"plan"})


def _parted(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the command's own words, and those behind the first ``--``."""
    at = words.index("--") if "--" in words else len(words)
    return list(words[:at]), list(words[at + 1 :])


def _sorted_out(words: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the configuration files among ``words``, which stand first, and the targets."""
    first, *others = words
    known = known_targets()
    # A configuration that comes with the project may be called as a target is.
    if first in known and first not in shipped() and not Path(first).is_file():
        file = next((word for word in others if word.endswith(SUFFIXES)), "STUDY.yaml")
        right = shlex.join([file, *(word for word in words if word != file)])
        raise InputError(f"{first}: the study file comes first: `{called()} run {right}`")
    files = [find_config(first)]
    while others and others[0].endswith(SUFFIXES):
        files.append(find_config(others.pop(0)))
    for path in files:
        read_yaml(path)  # what is wrong with the file itself, in one line
    for word in others:
        _refuse_misspelt(word, known)
    return files, others


def known_targets() -> list[str]:
    """Return the names of the rules in the workflow's files, also of those that need some key."""
    texts = [path.read_text(encoding="utf-8") for path in (HOME / "workflow/rules").glob("*.smk")]
    texts.append((HOME / "Snakefile").read_text(encoding="utf-8"))
    return sorted({name for text in texts for name in re.findall(r"^ *rule (\w+):", text, re.M)})


def _refuse_misspelt(word: str, known: Sequence[str]) -> None:
    """Raise InputError for a target that is none, but nearly one; Snakemake knows all others."""
    named_by_results = word.startswith(("table_", "figure_"))  # rules that a configuration makes
    if word in known or named_by_results or not re.fullmatch(r"\w+", word) or Path(word).exists():
        return
    if near := nearest(word, known, _NEARLY):
        raise InputError(f"{word}: is no target; did you mean {near}?")


def _unknown(word: str) -> str:
    """Return the message on an option that ``run`` does not have."""
    jobs = word.startswith("-j") or word.split("=")[0] == "--jobs"
    hint = "--cores 4 is how many CPU cores are used, and " if jobs else ""
    return (
        f"{word}: is no option of run; {hint}words for Snakemake stand behind --: "
        f"`{called()} run FILE -- {'-j 4' if jobs else word}`"
    )


def _first_key(lines: Sequence[str]) -> int:
    return next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
