"""What a study has in its folder in ``results/``, by name: predictions, tables, figures, monitors.

From the configuration alone, without a look at images or at the store. The rules of the workflow
make what stands here, and what they have once made that does not stand here any more is outdated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from sscdl.images.variant_kinds import EDGED, MASKS_OF_CROPPED
from sscdl.study import thesis
from sscdl.study.trie import (
    CLASSIFY,
    FINAL_TASKS,
    FINDINGS,
    NAME,
    PRETEXT_TASKS,
    SCRATCH,
    final_task,
    last_node,
    prefixes,
    preset_curricula,
    split_curriculum,
)
from sscdl.words import draw_name

Model = tuple[str, str, int]  # variant, curriculum, seed
LISTS = ("images.csv", "images.json", "rejected.csv", "near_duplicates.csv")
SUMMARY = ("summary.html", "summary.rst", "summary.txt")
TABLE_SUFFIXES = (".csv", ".md", ".tex", ".html")
# Tables that studies have: of predictions of one class, or of findings, and of other things.
OF_PREDICTIONS = (
    "4.14_accuracy_overview", "4.15_ail_overview", "attention", "accuracy_details", "calibration",
    "calibration_bins", "comparisons", "confusions", "faithfulness", "operating_points", "seeds",
    "subgroups",
)  # fmt: skip
OF_FINDINGS = (
    "finding_scores", "finding_comparisons", "finding_attention", "finding_calibration",
    "finding_operating_points", "finding_subgroups",
)  # fmt: skip
OF_OTHERS = (
    "dataset", "implausible_masks", "3.1_backbones", "4.1_normalisation", "learning_rates",
    "search", "trainings",
)  # fmt: skip
# Tables, and figures, that a study has if it asks for them.
ON_REQUEST = (
    "cross_variants", "linear_probe", "shortcut", "beside", "few_labels", "finding_few_labels",
)  # fmt: skip
CURVES, MAPS = "4.2_validation_curves", "4.4_attention"
PAGED = (CURVES, MAPS, "comparisons", "roc", "precision_recall")
FIGURES = (
    "dataset", "4.3_ail_by_model", "accuracy_overview", "calibration", "label_efficiency",
    "shortcut", "4.1_variants", "class_maps", "masks", "few_labels",
)  # fmt: skip


class Stage(NamedTuple):
    """What the names of results say of a stage; a node of the trie says more."""

    variant: str
    seed: int
    name: str
    task: str
    root: str
    parent: str | None


class Outputs:
    """The names of what the workflow makes for one configuration."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take a checked configuration; the folders of its images need not be there."""
        self.config = config
        self.results = Path("results") / config["study"]
        self.variants: list[str] = config["variants"]
        self.seeds: list[int] = config["seeds"]
        self.final = final_task(config)
        given = config["curricula"]
        self.curricula = preset_curricula(given) if isinstance(given, str) else list(given)
        self._roots = {"imagenet", *config["roots"]}
        phantom = config["dataset"]["layout"] == "phantom"
        self.marked = phantom and config["dataset"]["phantom"]["marked_test"] > 0
        # Pictures of patients are drawn for those who ask.
        self.shows_images = phantom or config["results"]["patient_images"]
        self.cross = config["results"]["cross_variants"] and len(self.variants) > 1
        few = config["few_labels"]
        self.draws = [draw_name(s, draw) for s in few["shares"] for draw in range(few["draws"])]

    @cached_property
    def models(self) -> list[Model]:
        """Return (variant, curriculum, seed) of each classifier."""
        return [(v, c, s) for v in self.variants for s in self.seeds for c in self.curricula]

    @cached_property
    def stages(self) -> list[Stage]:
        """Return what is trained, each stage once however many curricula pass through it."""
        found: dict[tuple[str, int, str], Stage] = {}
        for variant, curriculum, seed in self.models:
            root, tasks = self._path(curriculum)
            names = prefixes(root, tasks)
            last = last_node(curriculum, self.final)
            path = zip([*names, last], [*tasks, self.final], [None, *names], strict=True)
            for name, task, parent in path:
                stage = Stage(variant, seed, name, task, root, parent)
                found.setdefault((variant, seed, name), stage)
        return list(found.values())

    def _path(self, curriculum: str) -> tuple[str, tuple[str, ...]]:
        return split_curriculum(curriculum, self._roots)

    @cached_property
    def predictions(self) -> dict[str, list[str]]:
        """Return the names of the files in ``predictions/``, without suffix, by their folder."""
        settings = self.config["results"]
        models = [f"{v}.{c}.s{s}" for v, c, s in self.models]
        few = {"few_labels": models} if self.draws else {}
        if self.final == FINDINGS:
            return {"": models, "untrained": list(self.variants), **few}
        pretrained = any(one.task != CLASSIFY or one.root != SCRATCH for one in self.stages)
        whose = [*(f"s{seed}" for seed in self.seeds if pretrained), "random"]
        probes = [f"{variant}.{one}" for variant in self.variants for one in whose]
        return {
            "": [*models, "metadata"],
            "shown": models if self.cross else [],
            "probe": probes if settings["label_shares"] else [],
            "untrained": list(self.variants),
            "faithfulness": models,
            **few,
        }

    @cached_property
    def prediction_tables(self) -> list[str]:
        """Return the names of the tables that are made from predictions alone."""
        if self.final == FINDINGS:
            return [*OF_FINDINGS, *(["finding_few_labels"] if self.draws else [])]
        asked = {
            "few_labels": self.draws,
            "cross_variants": self.cross,
            "linear_probe": self.config["results"]["label_shares"],
            "shortcut": self.marked,
        }
        return [*OF_PREDICTIONS, *(name for name, wanted in asked.items() if wanted)]

    @cached_property
    def thesis_tables(self) -> list[str]:
        """Return the names of the thesis's tables that the study has a counterpart of."""
        if self.final == FINDINGS:
            return []
        batches = {task: one["batch_size"] for task, one in self.config["stages"].items()}
        return thesis.tables_of(self.stages, classes=self.config["classes"], batches=batches)

    @cached_property
    def tables(self) -> list[str]:
        """Return the names of all tables."""
        beside = ["beside"] if self.config["results"]["beside"] else []
        return [*OF_OTHERS, *self.prediction_tables, *self.thesis_tables, *beside]

    @cached_property
    def figures(self) -> dict[str, list[Model]]:
        """Return the names of all figures, and the models of those that show some of them."""
        found: dict[str, list[Model]] = {name: [] for name in ("dataset", *self.comparisons)}
        found |= self._pages(CURVES, most=12)
        if self.shows_images:
            found |= {"4.1_variants": [], "masks": []}
        found |= self._curves("roc") | self._curves("precision_recall")
        if self.draws:
            found["few_labels"] = []
        if self.final == FINDINGS:
            return found
        found |= {name: [] for name in ("4.3_ail_by_model", "accuracy_overview", "calibration")}
        if self.config["results"]["label_shares"]:
            found["label_efficiency"] = []
        if self.marked:
            found["shortcut"] = []
        if self.shows_images:
            found |= self._pages(MAPS, most=8)
            # The last curriculum, most often the longest, by its first seed.
            last = (self.curricula[-1], min(self.seeds))
            found["class_maps"] = [model for model in self.models if model[1:] == last]
        return found

    def _pages(self, figure: str, most: int) -> dict[str, list[Model]]:
        """Return the models of each page of a figure, those of the first seed.

        One page for all as long as there are no more than ``most``, otherwise one for each variant
        and number of tasks.
        """
        first = [model for model in self.models if model[2] == min(self.seeds)]
        if len(first) <= most:
            return {figure: first}
        found: dict[str, list[Model]] = {}
        for variant, curriculum, seed in first:
            page = f"{figure}-{variant}-{len(self._path(curriculum)[1])}_tasks"
            found.setdefault(page, []).append((variant, curriculum, seed))
        return found

    @cached_property
    def comparisons(self) -> list[str]:
        """Return the names of the figures of the comparisons, none without anything to compare.

        One page for all as long as it has no more than 36 lines, otherwise one for each variant and
        what models are compared with.
        """
        against = [
            thesis.reference_kind(other)
            for curriculum in self.curricula
            for other in thesis.references(curriculum, self.curricula)
        ]
        if len(against) * len(self.variants) <= 36:
            return ["comparisons"] if against else []
        return [f"comparisons-{v}-{kind}" for v in self.variants for kind in dict.fromkeys(against)]

    def _curves(self, figure: str) -> dict[str, list[Model]]:
        """Return the models of each page of curves over thresholds.

        One page for all as long as it has no more than nine panels, otherwise one for each variant.
        """
        findings, many = self.config["findings"], len(self.config["classes"])
        panels = len(findings) if findings else 1 if many == 2 else many
        if len(self.variants) * panels <= 9:
            return {figure: self.models}
        return {f"{figure}-{v}": [m for m in self.models if m[0] == v] for v in self.variants}

    @cached_property
    def asked(self) -> set[str]:
        """Return all that the configuration asks for, as paths below the study's folder."""
        found = {*LISTS, *SUMMARY}
        for folder, names in self.predictions.items():
            found |= {str(Path("predictions", folder, f"{name}.csv")) for name in names}
        found |= {f"attention/{v}.{c}.s{s}.npz" for v, c, s in self.models}
        found |= {f"tables/{name}{suffix}" for name in self.tables for suffix in TABLE_SUFFIXES}
        found |= {f"figures/{name}.png" for name in self.figures}
        watched = {f"monitors/{one.variant}/{one.name}.s{one.seed}": one for one in self.stages}
        last = [name for name, one in watched.items() if one.task == self.final]
        found |= {f"{name}.{draw}" for name in last for draw in self.draws}
        return found | watched.keys()

    def outdated(self, results: Path | None = None) -> list[str]:
        """Return what the workflow has made and the configuration does not ask for any more.

        As sorted paths below the study's folder, which is ``results``, or that in the working
        directory. Only files, and folders of monitors, with names as the workflow gives them, for
        any configuration; others, and links, are their user's.
        """
        folder = self.results if results is None else results
        found = (
            path
            for pattern in ("*/*", "predictions/*/*", "monitors/*/*")
            for path in folder.glob(pattern)
            if not path.is_symlink()
        )
        names = {path.relative_to(folder).as_posix() for path in found}
        return sorted(name for name in names - self.asked if MADE.fullmatch(name))


def _any(names: Any) -> str:
    return f"(?:{'|'.join(map(re.escape, sorted(names)))})"


def _made() -> re.Pattern[str]:
    """Return a pattern of all that the workflow makes, for any configuration."""
    variant, task = _any({"full", *EDGED, *MASKS_OF_CROPPED}), _any(PRETEXT_TASKS)
    curriculum = rf"{NAME.pattern}(?:\+{task})*"
    model = rf"{variant}\.{curriculum}\.s\d+"
    kinds_of_tables = (OF_PREDICTIONS, OF_FINDINGS, OF_OTHERS, ON_REQUEST, thesis.THESIS_TABLES)
    tables = _any({name for kind in kinds_of_tables for name in kind})
    page = rf"-{variant}(?:-(?:\d+_tasks|scratch|imagenet|first_task))?"
    kinds = (
        rf"predictions/(?:(?:shown|faithfulness|few_labels)/)?{model}\.csv",
        rf"predictions/probe/{variant}\.(?:s\d+|random)\.csv",
        rf"predictions/untrained/{variant}\.csv",
        r"predictions/metadata\.csv",
        rf"attention/{model}\.npz",
        rf"tables/{tables}{_any(TABLE_SUFFIXES)}",
        rf"figures/(?:{_any(FIGURES)}|{_any(PAGED)}(?:{page})?)\.png",
        rf"monitors/{variant}/{curriculum}(?:\+{_any(FINAL_TASKS)})?\.s\d+(?:\.l[\d.e-]+d\d+)?",
    )
    return re.compile("|".join(kinds))


MADE = _made()
