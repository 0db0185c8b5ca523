"""Commands of the package: python -m sscdl COMMAND ..., or sscdl COMMAND ... where installed."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from sscdl.command_line import command_parser
from sscdl.errors import InputError

# Name of a command, the module whose ``main(arguments)`` runs it, and what it is for.
COMMANDS = {
    "new": ("sscdl.front.new", "write the file of a study of your images, after a look at them"),
    "run": ("sscdl.front.run", "a study: everything, or a part; without words, which there are"),
    "segment": ("sscdl.segment.command", "lung masks for a folder of radiographs"),
    "model": ("sscdl.model.command", "a finished classifier: export it, ask it about new images"),
    "tables": ("sscdl.report.check", "make a study's tables again from its predictions"),
    "results": ("sscdl.upkeep.results", "move aside what a study no longer asks for"),
    "store": ("sscdl.upkeep.command", "list, explain, check and clear out trained stages"),
    "rate": ("sscdl.planning.rates", "measure how fast this machine trains a study, for its plan"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command that ``arguments`` name and return its exit status.

    An InputError is printed without a traceback, as the user can fix the input, and gives 2.
    """
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {about}" for name, (_, about) in COMMANDS.items())
    parser = command_parser(f"commands (each explains itself with --help):\n{listed}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    options = parser.parse_args(arguments)
    try:
        # Only the module that is asked for: some of them take seconds to import.
        return importlib.import_module(COMMANDS[options.command][0]).main(options.rest)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "sscdl":
            raise
        print(f"{error}; in a clone: make install, then source .venv/bin/activate", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


if __name__ == "__main__":
    sys.exit(main())
