"""What a study of findings, of which a radiograph may show several, cannot ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sscdl.study.trie import CLASSIFY, FINDINGS

# Results that are about one class of several, and have no counterpart for findings.
_OF_CLASSES = (
    *("beside", "cross_variants", "label_shares", "probe_draws"),
    *("panel_images", "thesis_figures"),
)


def wrong_with_findings(config: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Yield a message for each key that does not go with the others where there are ``findings``.

    ``config`` has all defaults filled in, ``given`` is what its user wrote.
    """
    if "findings" in given and not config["findings"]:
        yield "findings: the list is empty; name some, or leave it out and give classes"
    stages = given.get("stages") or {}
    last, other = (FINDINGS, CLASSIFY) if config["findings"] else (CLASSIFY, FINDINGS)
    if other in stages and last not in stages:
        yield (
            f"stages.{other}: given, but curricula of this study end with {last}; give "
            f"stages.{last} in its place"
        )
    if not config["findings"]:
        return
    if "mean" in config["findings"]:
        yield "findings: 'mean' is what tables call the mean of all; give that label another name"
    layout = config["dataset"]["layout"]
    if layout != "table":
        yield (
            f"findings: need a table that says which of them each image shows (dataset.layout: "
            f"table), not layout {layout}"
        )
    if (given.get("search") or {}).get("weights") == "averaged":
        yield "search.weights: averages are compared for classes alone; leave it out, or give last"
    results = given.get("results") or {}
    keys = [key for key in ("classes", "label_share") if key in given]
    for key in [*keys, *(f"results.{key}" for key in _OF_CLASSES if results.get(key))]:
        yield f"{key}: is about classes, of which this study has none but findings; remove it"
