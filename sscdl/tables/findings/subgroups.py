"""How well findings are told in groups of patients, and by how much groups differ.

Groups are those of :func:`sscdl.tables.confounders.groups_of`: view position, sex and age.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from sscdl.evaluation import metrics
from sscdl.evaluation.differences import compare_groups
from sscdl.evaluation.finding_measures import mean_over, told
from sscdl.evaluation.inference import LEVEL
from sscdl.evaluation.measures import one_auc
from sscdl.tables.comparisons import TOO_FEW, difference_columns, holm, untested_in_any_case
from sscdl.tables.confounders import groups_and_rest
from sscdl.tables.findings.scores import MEAN, counts, of_findings
from sscdl.tables.overview import NAN, models_in, score_model

LOWER, HIGHER, NOT_SHOWN = "lower", "higher", "not shown"
COLUMNS = (
    *("variant", "curriculum", "split", "group", "finding", "n_findings", "n_images"),
    *("n_patients", "n_positive", "n_positive_patients", "n_seeds"),
    *("auc", "auc_std", "auc_low", "auc_high", "auc_rest"),
    *("gap", "gap_low", "gap_high", "p", "p_holm", "verdict"),
)


def finding_subgroups(predictions: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return each model's AUC of each finding, and their mean, within groups of images.

    A *gap* is the AUC within a group minus that of all other images of which the property is known:
    of the findings that both can be scored by, so that it may differ from the difference of
    the two means. Where a property has two groups, which is one question, it stands with the first.

    Returns:
        for each model and group a row with ``finding`` = ``mean`` and one for each finding:
        ``variant, curriculum, split, group, finding``, numbers as in
        :func:`sscdl.tables.findings.scores.finding_scores`; ``auc`` in [0, 1] with ``_std, _low,
        _high``; ``auc_rest``, that of the others, over the findings of the gap; ``gap`` in
        hundredths of AUC with ``_low, _high``; ``p``, and ``p_holm`` corrected for all rows of the
        table, both empty with one seed; ``verdict``: ``lower`` or ``higher`` where ``p_holm`` is
        below 0.05, else ``not shown``, or why nothing was tested; empty where nothing is compared.

    Raises:
        InputError: no image model has rows of ``split``.
    """
    lines = []
    for (variant, curriculum), rows in models_in(of_findings(predictions, split)):
        names = metrics.class_names(rows)
        for group, inside, rest in groups_and_rest(rows):
            about = {"variant": variant, "curriculum": curriculum, "split": split, "group": group}
            own, others = told(inside), told(rest) if rest is not None else []
            shared = [name for name in own if name in others]
            for finding in (MEAN, *names):
                scored = own if finding == MEAN else [n for n in own if n == finding]
                compared = shared if finding == MEAN else [n for n in shared if n == finding]
                among = own if finding == MEAN else [finding]
                line: dict[str, Any] = {**about, "finding": finding, "n_findings": len(scored)}
                line |= counts(inside, among) | _score(inside, scored)
                lines.append(line | _gap(inside, rest, compared))
    for line, p in zip(lines, holm(line["p"] for line in lines), strict=True):
        line["p_holm"] = float(p)
        if not line["verdict"] and p == p:
            line["verdict"] = NOT_SHOWN if p >= LEVEL else HIGHER if line["gap"] > 0 else LOWER
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _score(rows: pd.DataFrame, findings: list[str]) -> dict[str, float]:
    """Return the mean AUC of ``findings``, nothing where there are none."""
    if not findings:
        return {}
    found = score_model(rows, mean_over(findings, one_auc), scale=1.0)
    return {"auc": found.pop("value")} | {f"auc_{part}": value for part, value in found.items()}


def _gap(inside: pd.DataFrame, rest: pd.DataFrame | None, findings: list[str]) -> dict[str, Any]:
    """Return the difference between a group and the ``rest``, which is None if it has none."""
    if rest is None:
        return {"p": NAN, "verdict": ""}
    if not findings:
        return {"p": NAN, "verdict": TOO_FEW}
    found = compare_groups(inside, rest, mean_over(findings, one_auc))
    why = untested_in_any_case(found)
    gap = difference_columns(found, "gap")
    return {"auc_rest": found.second.value, **gap, "p": NAN if why else found.p, "verdict": why}
