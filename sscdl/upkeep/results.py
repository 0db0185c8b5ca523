"""Look after the results of a study.

python -m sscdl results tidy --configfile FILE ... [--config KEY=VALUE ...]

Moves aside what the workflow has made for an earlier configuration and this one does not ask for:
predictions, tables, figures and monitors of variants, curricula and seeds that were dropped, for
instance. They go to a new folder below results/<study>/outdated; nothing is deleted, and files
that the workflow does not make stay. Run it where snakemake is run.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from sscdl.command_line import command_parser
from sscdl.errors import InputError
from sscdl.study.launch import no_run
from sscdl.study.outputs import Outputs
from sscdl.study.reading import add_arguments, read_config

ASIDE = "outdated"


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status; InputError where there are no results."""
    parser = command_parser(__doc__, "results")
    commands = parser.add_subparsers(required=True, metavar="tidy")
    about = "move aside what the configuration does not ask for any more"
    add_arguments(commands.add_parser("tidy", help=about, description=about))
    options = parser.parse_args(arguments)
    outputs = Outputs(read_config(options.configfile, options.config))
    if not outputs.results.is_dir():
        raise InputError(
            f"{outputs.results}: there is no such folder here; run this where snakemake was run"
        )
    with no_run():
        aside, names = tidy(outputs)
    for name in names:
        print(name)
    print(f"{len(names)} moved to {aside}" if aside else f"{outputs.results}: nothing is outdated")
    return 0


def tidy(outputs: Outputs) -> tuple[Path | None, list[str]]:
    """Move what is outdated into a new folder below the study's.

    Returns the folder, None if there is nothing to move, and the paths below it, which are those
    that the files had below the study's. Raises InputError for what cannot be moved.
    """
    names = outputs.outdated()
    if not names:
        return None, []
    aside = _new_folder(outputs.results / ASIDE)
    for name in names:
        try:
            (aside / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(outputs.results / name, aside / name)
        except OSError as error:
            raise InputError(
                f"{outputs.results / name}: cannot be moved to {aside} "
                f"({error.strerror or error}); what was moved before it stays there"
            ) from None
    return aside, names


def _new_folder(inside: Path) -> Path:
    """Make a folder that is named by the time, and return it."""
    now = time.strftime("%Y-%m-%dT%H%M%S")
    for name in (now, *(f"{now}-{number}" for number in range(2, 100))):
        try:
            (inside / name).mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise InputError(f"{inside}: cannot be made ({error.strerror})") from None
        return inside / name
    raise InputError(f"{inside}: has a hundred folders of this second; try again")
