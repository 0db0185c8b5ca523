"""Look after a store: which stages it has, where they come from, whether it is whole.

python -m sscdl store ls STORE [--results FOLDER ...]
python -m sscdl store show STORE NODE [--variant V] [--seed N]
python -m sscdl store verify STORE
python -m sscdl store prune STORE [--node NODE ...] [--variant V] [--seed N] [--task-state]
                            [--days N] [--yes]

NODE is a name such as moco+swav+classify, of which a store may have one for each variant and seed,
or the beginning of a fingerprint. A stage that was pruned is trained again by the next run of a
study that needs it.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sscdl.command_line import command_parser
from sscdl.errors import InputError
from sscdl.store.choice import narrowed, select
from sscdl.store.nodes import open_store, read_nodes, shown_size
from sscdl.words import many


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status; InputError for a store or node that is not there.

    1 means that `verify` found damage, or that `prune` was not allowed to delete all that it named.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    options.store = open_store(options.store)
    return options.run(options)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, "store")
    commands = parser.add_subparsers(required=True, metavar="ls|show|verify|prune")

    def command(name: str, run: Callable[..., Any], about: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=about, description=about)
        added.add_argument("store", type=Path, help="the folder that the key store names")
        added.set_defaults(run=run)
        return added

    ls = command("ls", _ls, "one line for each trained stage, and the size of everything")
    ls.add_argument(
        "--results",
        nargs="+",
        type=Path,
        default=[],
        metavar="FOLDER",
        help="results of studies (results/demo, or results for all in it), to say who uses what: "
        "the store does not know",
    )
    show = command("show", _show, "how the weights of a stage came about, from the root on")
    show.add_argument("node", help="name, or beginning of a fingerprint or an object's key")
    _narrowing(show)
    command("verify", _verify, "check all that has a hash, and find leftovers; change nothing")
    prune = command("prune", _prune, "list what nothing reaches, and delete it after a yes")
    prune.add_argument(
        "--node",
        action="append",
        default=[],
        metavar="NODE",
        help="delete this stage, too, so that it is trained again where it is needed; can be "
        "repeated",
    )
    _narrowing(prune)
    prune.add_argument(
        "--task-state",
        action="store_true",
        help="delete the heads and queues of all pretext stages, too (task.safetensors): nothing "
        "here needs them",
    )
    prune.add_argument(
        "--days",
        type=float,
        default=1.0,
        help="leave what was changed in so many days (default 1): an interrupted study may go on "
        "with it",
    )
    prune.add_argument("--yes", action="store_true", help="delete without asking")
    return parser


def _narrowing(command: argparse.ArgumentParser) -> None:
    command.add_argument("--variant", help="of the stages called NODE, that of this variant")
    command.add_argument("--seed", type=int, help="likewise, that of this seed")


def _ls(options: argparse.Namespace) -> int:
    from sscdl.store.listing import listing

    print("\n".join(listing(options.store, options.results)))
    return 0


def _show(options: argparse.Namespace) -> int:
    from sscdl.store.listing import history

    nodes, _ = read_nodes(options.store)
    node = select(narrowed(nodes, options.variant, options.seed), options.node)
    print("\n".join(history(options.store, nodes, node)))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from sscdl.equivalence import sentences
    from sscdl.upkeep.verify import verify

    found = verify(options.store)
    for one in found:
        print(f"{one.kind:8}  {one.path}: {one.fault}; {one.advice}")
    nodes, _ = read_nodes(options.store)
    for text in sentences(dict.fromkeys(node.task for node in nodes)):
        print(f"note      {text}")
    count = {kind: sum(one.kind == kind for one in found) for kind in ("damaged", "leftover")}
    print(f"{count['damaged']} damaged, {many(count['leftover'], 'leftover')}")
    return 1 if count["damaged"] else 0


def _prune(options: argparse.Namespace) -> int:
    from sscdl.upkeep.prune import delete, plan

    asked = (_named(options), options.days, options.task_state)
    made = plan(options.store, *asked)
    for reason in made.kept:
        print(f"kept  {reason}")
    for item in made.items:
        print(f"{shown_size(item.bytes):>9}  {item.path}: {item.reason}")
    if not made.items:
        print("nothing to delete")
        return 0
    whole = shown_size(sum(item.bytes for item in made.items))
    if not options.yes and not _agreed(f"{len(made.items)} to delete, {whole}. Type yes: "):
        print("nothing was deleted")
        return 1
    freed, failed = delete(options.store, made, *asked)
    for reason in failed:
        print(f"kept  {reason}")
    print(f"deleted {shown_size(freed)}")
    return 1 if failed else 0


def _named(options: argparse.Namespace) -> list[str]:
    """Return the fingerprints of the stages that ``--node`` names, narrowed to variant and seed."""
    narrow = (options.variant, options.seed)
    if narrow != (None, None) and not options.node:
        raise InputError("--variant, --seed: say of which stage; give --node, too")
    nodes = narrowed(read_nodes(options.store)[0], *narrow) if options.node else []
    return [select(nodes, name).fingerprint for name in options.node]


def _agreed(question: str) -> bool:
    """Ask the user; no answer at all, as in a script, is a no."""
    try:
        return input(question).strip() == "yes"
    except EOFError:
        print("(no terminal: --yes deletes without asking)")
        return False
