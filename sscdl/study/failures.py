"""What is said last when jobs have failed: which, why, and where there is more to read.

Snakemake says it too, some forty lines before it ends, amid words that look like the loss of data.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
from collections.abc import Iterable
from pathlib import Path

# Where in the workflow's files a message was raised: of no use to who gave the input, and last.
_FRAMES = re.compile(r'(\n  File "[^"\n]*", line \d+, in [^\n]*)+\s*$')
# Said of an output that had no earlier version, as after every first failure.
_ALARMS = re.compile(r"^Cannot restore .*: no backup found\.$")
_LINE = re.compile(r"^\d{4}-\d\d-\d\d [\d:,]{12} (?P<level>[A-Z]+) (?P<text>.*)$")
_STOPPED = "stopped by "
_TRACEBACK = "Traceback (most recent call last):"
_MOST = 10  # reasons that are told


class Failures(logging.Filter):
    """Remembers the jobs that have failed, from what Snakemake says to its log.

    A job that is tried again has not failed until it does so again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logs: dict[int, tuple[str, list[str]]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Note what ``record`` says of a job; return whether it is worth showing."""
        event = str(getattr(record, "event", "") or "")
        if event == "job_error":
            logs = record.log if isinstance(record.log, list) else [record.log]
            self._logs[record.jobid] = (record.rule_name, [str(log) for log in logs if log])
        elif event == "job_info":  # it begins, perhaps once more
            self._logs.pop(record.jobid, None)
        if event == "error" and getattr(record, "exception", "") == "WorkflowError":
            record.msg = _FRAMES.sub("", record.getMessage())
            record.args = ()
        return not _ALARMS.match(record.getMessage())

    def words(self) -> str:
        """Return what is to be said at the end, empty if no job has failed."""
        if not self._logs:
            return ""
        reasons: dict[str, list[tuple[str, list[str]]]] = {}
        for rule, logs in self._logs.values():
            reasons.setdefault(reason(logs), []).append((rule, logs))
        count = len(self._logs)
        lines = [
            "",
            f"What failed ({count} {'job' if count == 1 else 'jobs'}; what was finished is kept):",
        ]
        for text, alike in list(reasons.items())[:_MOST]:
            rule, logs = alike[0]
            others = f" and {len(alike) - 1} more" if len(alike) > 1 else ""
            lines += ["", f"  {rule}{others}: {text}"]
            lines += [f"  log: {log}" for log in logs[:1]]
        if len(reasons) > _MOST:
            lines += ["", f"  and {len(reasons) - _MOST} other reasons, in the logs of their jobs"]
        return "\n".join(lines)


def reason(logs: Iterable[str]) -> str:
    """Return why a job has failed, as the last of its log files that says so does.

    A fault of the program is its exception, whose traceback is in the log. Where no file says why,
    the job was killed or never began; then it is the last line that there is.
    """
    last = ""
    for path in map(Path, logs):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        entries = _entries(text)
        told = [words for level, words in entries if level == "ERROR"]
        told += [words for _, words in entries if words.startswith(_STOPPED)]
        if told:
            return _short(told[-1])
        last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), last)
    if not last:
        return "it ended without a word: killed (out of memory?), or it could not start"
    return f"it ended without saying why, killed (out of memory?) or not; its last words: {last}"


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


def tell_failures() -> None:
    """Say last of all, on standard error, why jobs have failed, if any have."""
    failures = Failures()
    logging.getLogger("snakemake.logging").addFilter(failures)
    atexit.register(_tell, failures)


def _tell(failures: Failures) -> None:
    words = failures.words()
    if words:
        print(words, file=sys.stderr, flush=True)
