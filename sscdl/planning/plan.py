"""What a study would train and why: a readable text, and a table with one line for each node.

Reads the store, trains nothing and imports no torch, so that the answer takes seconds.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sscdl.equivalence import sentences
from sscdl.files import write_text
from sscdl.planning.disk import records_bytes, state_bytes, task_state_bytes, weights_bytes
from sscdl.planning.estimates import ImageCounts, Rates, epoch_images, work
from sscdl.planning.patients import warnings
from sscdl.planning.reasons import NOTHING, Reason, reasons, with_lineage
from sscdl.progress import duration
from sscdl.store.nodes import read_nodes, shown_size
from sscdl.store.store import Store
from sscdl.study.trie import FINAL_TASKS, PRETEXT_TASKS, Node
from sscdl.tasks.options import whole
from sscdl.training.schedule import left_out_sentence
from sscdl.words import many

FINISHED, PARTLY, TO_TRAIN = "finished", "partly", "to train"
WAITS = re.compile(r"parent \S+ is to be trained")  # and nothing else
MOST_NAMED = 50  # results that are named one by one
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Outlook:
    """A line of plan.csv. Epochs, images and hours are those that are left, at most."""

    variant: str
    seed: int
    name: str
    state: str
    learning_rates: str
    candidates: int  # left to train
    epochs: int
    images: int | None  # that pass through the network; None where their number is unknown
    hours: float | None  # None where no rate was measured
    reason: str
    nearest: str  # pointer of the trained node that it was compared with
    fingerprint: str


def plan(
    nodes: Sequence[Node],
    *,
    store: Path,
    images_csv: Path,
    image_files: int | None,
    split: dict[str, Any],
    sides: Mapping[str, int] | None = None,
    training: dict[str, Any],
    roots: dict[str, str],
    curricula: Sequence[str],
    sources: Sequence[str],
    identities: Sequence[str],
    table: Path,
    outdated: Sequence[str] = (),
) -> str:
    """Write ``table`` and return the text for the terminal.

    ``nodes`` come parents first. ``image_files``: images of the main archive, counted before they
    are ingested. ``split``: the study's, with its seed; ``sides``: how many of these images are on
    each side of a split that is given; ``training``: that block of the configuration; ``roots``:
    files given for the roots of ``curricula``; ``sources``: the groups of source code that make
    what the nodes are trained on; ``identities``: what is to be said of a given split, and of
    images and masks that an earlier version has made; ``outdated``: what lies beside ``table`` and
    was made for an earlier configuration.
    """
    trained, _ = read_nodes(store)
    stored = with_lineage(store, trained)
    counts = ImageCounts(images_csv, image_files, split, sides)
    rates = Rates(store, stored)
    own = {node.fingerprint for node in nodes}
    finished = {
        one.fingerprint: one.object
        for one in trained
        if one.fingerprint in own and Store(store).finished(one.path)
    }
    why = reasons(nodes, finished, stored)
    lines, speeds = [], {}
    for node in nodes:
        line = _outlook(node, store, finished, why.get(node.fingerprint), counts)
        if node.fingerprint in why:
            rate, kind = rates.of(node, training["device"], training["threads"])
            speeds[node.task, kind] = rate
            if rate is not None and line.images is not None:
                line = _with_hours(line, line.images / rate.images_per_second / 3600)
        lines.append(line)
    write_table(lines, table)
    text = [*_listed(lines), "", *_shared(nodes, curricula), *_totals(lines, why, counts)]
    text += _rates(speeds, training)
    text += _disk(nodes, finished, counts, store)
    found = list(dict.fromkeys(node.task for node in nodes if node.fingerprint in finished))
    text += [f"Accepted: {one}" for one in sentences([*found, *sources] if found else [])]
    text += identities
    noted = warnings(nodes, images_csv=images_csv, split=split, roots=roots)
    noted += _left_out([node for node in nodes if node.fingerprint in why], counts)
    text += [f"Warning: {one}" for one in noted]
    text += _outdated(outdated, table.parent)
    return "\n".join([*text, f"Table: {table}"])


def _outlook(
    node: Node, store: Path, finished: dict[str, str], why: Reason | None, counts: ImageCounts
) -> Outlook:
    listed = ", ".join(f"{rate:g}" for rate in node.learning_rates)
    fixed: dict[str, Any] = {
        "variant": node.variant,
        "seed": node.seed,
        "name": f"{node.name} {node.draw}".rstrip(),
        "learning_rates": listed,
        "fingerprint": node.fingerprint,
        "nearest": why.nearest.node.path.name if why and why.nearest else "",
    }
    if why is None:
        done: dict[str, Any] = {
            "state": FINISHED,
            "candidates": 0,
            "epochs": 0,
            "images": 0,
            "hours": 0.0,
        }
        return Outlook(**fixed, **done, reason="")
    start = finished.get(node.parent) if node.parent else node.recipe["root"]
    left = work(node, Store(store), start)
    text = why.text
    if left.whole:
        text = "all runs are found; only the pointer is to be written"
    elif len(left.found) == len(node.learning_rates):
        text += " (all candidates are found)"
    elif left.found:
        missing = len(node.learning_rates) - len(left.found)
        only_new = text.startswith("new: ") and missing == text.split(";")[0].count(",") + 1
        known = ", ".join(f"{rate:g}" for rate in left.found)
        text += " (other candidates are found)" if only_new else f" (found: {known})"
    images = counts.of(node.recipe["data"])
    return Outlook(
        **fixed,
        state=PARTLY if left.found else TO_TRAIN,
        candidates=len(node.learning_rates) - len(left.found),
        epochs=left.epochs,
        images=None if images is None else epoch_images(node, images) * left.epochs,
        hours=None if left.epochs else 0.0,
        reason=text,
    )


def _with_hours(line: Outlook, hours: float) -> Outlook:
    return Outlook(**asdict(line) | {"hours": round(hours, 5)})


def write_table(lines: Sequence[Outlook], path: Path) -> None:
    """Write the lines as CSV, atomically; what is unknown stays empty."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [one.name for one in fields(Outlook)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    write_text(path, file.getvalue())


def _listed(lines: Sequence[Outlook]) -> list[str]:
    """Return one line for each node, and a second one for a reason that says more than usual."""
    text = []
    for line in lines:
        head = f"{line.state:9} {line.variant:16} seed {line.seed}"
        text.append(f"{head}  rates {line.learning_rates}  {line.name}")
        if line.reason and line.reason != NOTHING and not WAITS.fullmatch(line.reason):
            text.append(f"{'':10}{line.reason}")
    return text


def _shared(nodes: Sequence[Node], curricula: Sequence[str]) -> list[str]:
    """Return what the curricula save by sharing the stages that they begin with."""
    groups = Counter((node.variant, node.seed) for node in nodes if node.task not in FINAL_TASKS)
    if not groups:
        return []
    depths = [sum(part in PRETEXT_TASKS for part in name.split("+")) for name in curricula]
    depths = [depth for depth in depths if depth]
    alone, shared = sum(depths), max(groups.values())
    several, deepest = len(depths) > 1, max(depths)
    upto = NUMBERS[deepest] if deepest < len(NUMBERS) else deepest
    tasks = f"{'up to ' if several else ''}{upto} {'task' if deepest == 1 else 'tasks'}"
    trains = many(len(depths), f"curriculum of {tasks} trains", f"curricula of {tasks} train")
    return [
        f"Shared prefixes: {trains} {many(shared, 'stage')} instead of {alone}, "
        f"{100 * (alone - shared) / alone:.0f} % fewer, for each variant and seed "
        f"({len(groups)} in all)."
    ]


def _totals(lines: Sequence[Outlook], why: dict[str, Reason], counts: ImageCounts) -> list[str]:
    left = [line for line in lines if line.state != FINISHED]
    text = [f"{many(len(left), 'stage')} to train, {len(lines) - len(left)} finished"]
    if not left:
        return text
    perhaps = [line for line in left if why[line.fingerprint].conditional]
    partly = [line for line in left if line.state == PARTLY]
    if partly:
        text.append(f"  {len(partly)} of them partly: some candidates are in the store")
    if perhaps:
        text.append(f"  {len(perhaps)} of them only if a stage before comes out differently")
    text += [f"  {number} x {reason}" for reason, number in _common(left)]
    text.append(
        f"At most {many(sum(line.candidates for line in left), 'candidate')}, "
        f"{many(sum(line.epochs for line in left), 'epoch')}, {_images(left, counts)}"
    )
    known = [line for line in left if line.hours is not None]
    hours = sum(line.hours or 0 for line in known)
    if len(known) == len(left):
        text.append(f"Estimated training: {_hours(hours)}, one run at a time")
    elif known:
        text.append(
            f"Estimated training: {_hours(hours)} for {many(len(known), 'stage')}, one run at a "
            f"time; unknown for {len(left) - len(known)}"
        )
    else:
        text.append("Estimated training: unknown")
    if perhaps and known:
        only = sum(line.hours or 0 for line in perhaps)
        text.append(f"  {_hours(only)} of it only if a stage before comes out differently")
    return text


def _common(left: Sequence[Outlook]) -> list[tuple[str, int]]:
    """Return the reasons that several nodes have, the most frequent first."""
    said = [line.reason for line in left]
    plain = ["the stage before is to be trained" if WAITS.fullmatch(one) else one for one in said]
    found = Counter(plain).most_common()
    return [(reason, number) for reason, number in found if number > 1][:8]


def _images(left: Sequence[Outlook], counts: ImageCounts) -> str:
    if any(line.images is None for line in left):
        return "images unknown until they are ingested"
    total = many(sum(line.images or 0 for line in left), "training image")
    return total if counts.exact else f"about {total} (exact once images.csv is there)"


def _hours(hours: float) -> str:
    return f"{hours:,.1f} hours" if hours >= 1 else duration(3600 * hours)


def _rates(speeds: dict[Any, Any], training: dict[str, Any]) -> list[str]:
    text = []
    for (task, kind), rate in sorted(speeds.items(), key=str):
        if rate is not None:
            known = f"{rate.images_per_second:,.0f} images/s on {kind} ({rate.origin})"
        else:
            known = f"unknown on {kind}: train one stage, or run `python -m sscdl rate`"
        text.append(f"  {task:9} {known}")
    runs = training["side_by_side"] * training["devices"]
    if text and runs > 1:
        text.append(f"  up to {runs} candidates train at a time, which shortens this")
    return text


def _left_out(nodes: Sequence[Node], counts: ImageCounts) -> list[str]:
    """Return a sentence for each task of which an epoch leaves out more than a tenth."""
    found = [
        left_out_sentence(node.task, images, whole(node.task, node.recipe["settings"]))
        for node in nodes
        if not node.draw and (images := counts.of(node.recipe["data"]))
    ]
    return list(dict.fromkeys(filter(None, found)))


def _outdated(names: Sequence[str], results: Path) -> list[str]:
    """Return what is to be said of results that the configuration does not ask for any more."""
    if not names:
        return []
    more = [f"  and {len(names) - MOST_NAMED} more"] if len(names) > MOST_NAMED else []
    return [
        f"Outdated: {many(len(names), 'result')} of an earlier configuration in {results}, which "
        "this one does not ask for; `python -m sscdl results tidy`, with the same --configfile and "
        f"--config, moves {'it' if len(names) == 1 else 'them'} aside",
        *(f"  {name}" for name in names[:MOST_NAMED]),
        *more,
    ]


def _disk(
    nodes: Sequence[Node], finished: dict[str, str], counts: ImageCounts, store: Path
) -> list[str]:
    """Return what the study keeps in the store, and what it takes meanwhile."""
    kept = {node.fingerprint: weights_bytes(node, store) for node in nodes}
    if not all(kept.values()):
        return []
    new = [node for node in nodes if node.fingerprint not in finished]
    images = {node.fingerprint: counts.of(node.recipe["data"]) or 0 for node in new}
    text = (
        f"Disk: {shown_size(sum(kept.values()))} of weights for {many(len(nodes), 'stage')} "
        f"({shown_size(sum(kept[node.fingerprint] for node in new))} of them new), about "
        f"{shown_size(sum(map(records_bytes, nodes)))} of metrics"
    )
    if own := sum(task_state_bytes(node, images[node.fingerprint], store) for node in new):
        text += f", {shown_size(own)} of heads and queues with the new ones"
    if new:
        most = max(state_bytes(node, images[node.fingerprint], store) for node in new)
        text += f"; up to {shown_size(most)} more while a stage trains"
    return [text]
