"""What is said last when jobs have failed: which, why, and where there is more to read.

Snakemake says it too, some forty lines before it ends, amid words that look like the loss of data.
"""

from __future__ import annotations

import atexit
import logging
import re
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.study.launch import SENT
from sscdl.words import many

# Where in the workflow's files a message was raised: of no use to who gave the input, and last.
_FRAMES = re.compile(r'(\n  File "[^"\n]*", line \d+, in [^\n]*)+\s*$')
# Said of an output that had no earlier version, as after every first failure.
_ALARMS = re.compile(r"^Cannot restore .*: no backup found\.$")
_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]{12} (?P<level>[A-Z]+) (?P<text>.*)$")
_STOPPED = "stopped by "
_SOME = "At least one job did not complete successfully"
# Said by Snakemake where a user interrupts it, which its jobs hear of, too.
_ASKED = "Terminating processes on user request"
_TRACEBACK = "Traceback (most recent call last):"
# What clusters and kernels, and Snakemake on a node, write of a job that was ended from outside.
_KILLED = re.compile(
    r"died with <Signals|oom.?kill|out.of.memory|DUE TO TIME LIMIT|NODE FAILURE|^Killed$", re.I
)
# How Snakemake says that what a job has started was ended by a signal, or its shell reports it.
_SIGNAL = re.compile(r"died with <Signals\.(\w+)|returned non-zero exit status (1[2-9]\d)\b")
_SENT = {one.name for one in SENT}
_MOST = 10  # reasons that are told
_GO_ON = "run the same command again to go on"
_ON_REQUEST = f"ended on request; {_GO_ON}"


class Reason(NamedTuple):
    """Why a job has failed: ``text``, the ``log`` to read ('' if there is none), who ``told``."""

    text: str
    log: str
    told: bool


class _Failed(NamedTuple):
    rule: str
    logs: list[str]
    group: int  # 0 for a job by itself
    by: str = ""  # the signal that ended it, where Snakemake says so


class Failing(NamedTuple):
    """Jobs that have failed together, each as Snakemake describes it, and what a group adds."""

    jobs: list[Mapping[str, Any]]
    group: bool
    logs: list[str]


def failing(record: logging.LogRecord) -> Failing | None:
    """Return the jobs that a record of Snakemake says have failed, None if it is of none."""
    said: Any = record  # has what belongs to its event
    event = getattr(record, "event", "")
    if event == "group_error":
        return Failing(list(said.job_error_info), True, list(said.aux_logs))
    # Those of a group are indented, and known already.
    if event == "job_error" and not getattr(record, "indent", False):
        return Failing([vars(record)], False, [])
    return None


class Failures(logging.Filter):
    """Remembers the jobs that have failed, from what Snakemake says to its log.

    A job that is tried again has not failed until it does so again. ``hidden``: whether nothing
    else shows errors, so that those that end the run are remembered, too.
    """

    def __init__(self, *, hidden: bool = False) -> None:
        super().__init__()
        self._hidden = hidden
        self._errors: list[tuple[str, str]] = []  # kind and words
        self._failed: dict[int, _Failed] = {}
        self._signals: dict[int | None, str] = {}  # of the job that a thread has waited for
        self._groups = 0  # that have failed; several may be called alike
        self._asked = False  # whether the user has interrupted the run

    def filter(self, record: logging.LogRecord) -> bool:
        """Note what ``record`` says of a job; return whether it is worth showing."""
        event = str(getattr(record, "event", "") or "")
        said: Any = record  # has what belongs to its event
        if ended := failing(record):
            self._groups += ended.group
            by = self._signals.pop(record.thread, "")
            for job in ended.jobs:
                self._note(job, self._groups if ended.group else 0, ended.logs, by)
        elif event == "job_info":  # it begins, perhaps once more
            self._failed.pop(said.jobid, None)
        self._asked |= record.getMessage().startswith(_ASKED)
        if event == "error" and getattr(record, "exception", "") == "WorkflowError":
            record.msg = _FRAMES.sub("", record.getMessage())
            record.args = ()
        if event == "error" and getattr(record, "exception", "") == "RuleException":
            # The failure of its job is said next, in the same thread.
            self._signals[record.thread] = signal_in(record.getMessage())
        if event == "error" and self._hidden:
            self._errors.append((str(said.exception), record.getMessage()))
        return not _ALARMS.match(record.getMessage())

    def _note(self, job: Mapping[str, Any], group: int, further: Iterable[str], by: str) -> None:
        logs = job["log"] if isinstance(job["log"], list) else [job["log"]]
        own = [str(log) for log in [*logs, *further] if log]
        self._failed[job["jobid"]] = _Failed(job["rule_name"], own, group, by)

    def words(self) -> str:
        """Return what is to be said at the end, empty if nothing is left to say."""
        jobs = self._of_jobs()
        # Where jobs are told, those that say that one has failed say nothing more.
        told = [
            words
            for kind, words in self._errors
            if not (jobs and (kind == "RuleException" or _SOME in words))
        ]
        return "\n".join([*told, *jobs])

    def _of_jobs(self) -> list[str]:
        reasons: dict[str, list[tuple[str, str]]] = {}
        # The last of a group that wrote anything was at work when it ended.
        latest = sorted(self._failed.values(), key=lambda one: one.group and -_written(one.logs))
        found = [(one, reason(one.logs, one.by)) for one in latest]
        # Of a group, those have failed that say so; the others ended with it, or before, or never
        # began, and if none says so the group is one that was killed.
        telling = {one.group for one, why in found if one.group and why.told}
        silent: set[int] = set()
        for one, (text, log, told) in found:
            if self._asked and not told:  # it had not begun to write its log
                text, log = _ON_REQUEST, ""
            elif one.group and not told:
                if one.group in telling | silent:
                    continue
                silent.add(one.group)
            reasons.setdefault(text, []).append((one.rule, log))
        count = sum(map(len, reasons.values()))
        if not count:
            return []
        lines = ["", f"What failed ({many(count, 'job')}; what was finished is kept):"]
        for text, alike in list(reasons.items())[:_MOST]:
            rule, log = alike[0]
            others = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
            lines += ["", f"  {rule}{others}: {text}".replace("\n", "\n    ")]
            lines += [f"  log: {log}"] if log else []
        if len(reasons) > _MOST:
            others = many(len(reasons) - _MOST, "other reason")
            lines += ["", f"  and {others}, in the logs of their jobs"]
        return lines


def signal_in(words: str) -> str:
    """Return the name of the signal that ended a process, as Snakemake's words say; '' for none.

    A shell that reports it has the exit status 128 and its number.
    """
    found = _SIGNAL.search(words)
    if not found:
        return ""
    if found[1]:
        return found[1]
    try:
        return signal.Signals(int(found[2]) - 128).name
    except ValueError:
        return ""


def ended(by: str) -> str:
    """Return in words what a process that a signal ended has come to; ``by`` is its name."""
    if by == "SIGKILL":
        return "it was killed (out of memory?)"
    if by in _SENT:
        return f"it was stopped ({by}): somebody, or a scheduler, has ended it; {_GO_ON}"
    return f"it crashed ({by})"


def reason(logs: Iterable[str], by: str = "") -> Reason:
    """Return why a job has failed, as its log files say: its own, then those of a cluster.

    ``by`` is the signal that has ended it, where that is known.
    A fault of the program is its exception, whose traceback is in the log. Where a job does not say
    why, it was killed, which a cluster's log may tell, or never began; then it is the last line
    that it wrote.
    """
    texts = {log: text for log in logs if (text := _text(Path(log))).strip()}
    for log, text in texts.items():
        entries = _entries(text)
        told = [words for level, words in entries if level == "ERROR"]
        told += [words for _, words in entries if words.startswith(_STOPPED)]
        if told:
            return Reason(_short(told[-1]), log, True)
    for log, text in texts.items():
        if killed := [line.strip() for line in text.splitlines() if _KILLED.search(line)]:
            sent = signal_in(killed[-1]) in _SENT
            return Reason(f"it was {'stopped' if sent else 'killed'}: {killed[-1]}", log, False)
    for log, text in texts.items():
        last = text.rstrip().splitlines()[-1].strip()
        words = ended(by) if by else "it ended without saying why, killed (out of memory?) or not"
        return Reason(f"{words}; its last words: {last}", log, False)
    if by:
        return Reason(ended(by), "", False)
    return Reason(
        "it ended without a word: killed (out of memory?), or it could not start", "", False
    )


def _written(logs: list[str]) -> float:
    """Return when a job's own log was written last, 0 if there is none."""
    try:
        return Path(logs[0]).stat().st_mtime if logs else 0
    except OSError:
        return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _entries(text: str) -> list[tuple[str, str]]:
    """Return level and words of each entry of a log; an entry may have several lines."""
    entries: list[tuple[str, str]] = []
    for line in text.splitlines():
        begins = _LINE.match(line)
        if begins:
            entries.append((begins["level"], begins["text"]))
        elif entries:
            level, words = entries[-1]
            entries[-1] = (level, f"{words}\n{line}")
    return entries


def _short(words: str) -> str:
    """Return an entry with the exception alone of a traceback."""
    if _TRACEBACK not in words:
        return words
    return f"a fault of the program, please report it with the log: {words.splitlines()[-1]}"


def tell_failures(*, hidden: bool = False) -> None:
    """Say last of all, on standard error, why jobs have failed, if any have.

    ``hidden``: whether Snakemake hides errors, so that those that end the run are said, too.
    """
    failures = Failures(hidden=hidden)
    logging.getLogger("snakemake.logging").addFilter(failures)
    atexit.register(_tell, failures)


def _tell(failures: Failures) -> None:
    words = failures.words()
    if words:
        print(words, file=sys.stderr, flush=True)
