"""From the files of a study to its figures, which ``charts.write_figure`` saves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sscdl.archives.cohorts import DUPLICATE
from sscdl.evaluation.metrics import class_names, labelled
from sscdl.evaluation.prediction_files import OF_CLASS
from sscdl.figures import attention, curves, overviews, panels, quality
from sscdl.figures.dataset import dataset_figure
from sscdl.figures.forest import forest
from sscdl.figures.validation import validation_curves
from sscdl.images.held_out import read_as_texts
from sscdl.images.variants import read_pack, read_with_masks
from sscdl.own_csv import read_own
from sscdl.study.thesis import reference_kind
from sscdl.tables.findings.alone import each
from sscdl.tables.operating_points import positives
from sscdl.tables.write import read_predictions, read_runs

AVERAGED = (
    "averaged_val_balanced_accuracy"  # of averages of the weights, in the records of a search
)


def draw_data(images: Path, rejected: Path, full: Path) -> Figure:
    """Draw the data set: counts from the lists, gray values from the packed full images."""
    table = read_as_texts(images)
    array, described = read_pack(full)
    split_of = dict(zip(table["image_id"], table["split"], strict=True))
    splits = np.array([split_of.get(image_id, "") for image_id in described["ids"]])
    histograms = {
        name: np.bincount(array[splits == name].ravel(), minlength=256)
        for name in sorted(set(splits) - {"", DUPLICATE})
    }
    return dataset_figure(table, read_own(rejected, keep_default_na=False), histograms)


def draw_ail(table: Path, seeds: Path) -> Figure:
    """Draw figure 4.3 from the tables of attention and of each training."""
    return overviews.ail_by_model(read_own(table), read_own(seeds))


def draw_accuracy(table: Path, seeds: Path, subgroups: Path) -> Figure:
    """Draw every model's balanced accuracy from table 4.14, beside chance and the metadata."""
    groups = read_own(subgroups)
    baseline = groups.loc[groups["group"] == "all", ["metadata", "metadata_balanced_accuracy"]]
    lines = {name: value for name, value in baseline.dropna().itertuples(index=False)}
    accuracies, trainings = read_own(table), read_own(seeds)
    return overviews.accuracy_overview_figure(accuracies, trainings, baselines=lines)


def draw_comparisons(table: Path, page: str = "") -> Figure:
    """Draw the differences between models, those of one variant and reference if ``page`` says so.

    A page is called by its variant and, after a hyphen, by :func:`reference_kind`.
    """
    rows = read_own(table)
    if page:
        variant, _, kind = page.partition("-")
        chosen = (rows["variant"] == variant) & (rows["against"].map(reference_kind) == kind)
        rows = rows[chosen]
    return forest(rows)


def draw_shortcut(table: Path) -> Figure:
    """Draw what becomes of the accuracy without the planted mark."""
    return overviews.shortcut_figure(read_own(table))


def draw_label_efficiency(table: Path, what: str) -> Figure:
    """Draw scores against the number of labels, from a table by shares; ``what`` has them."""
    return quality.label_efficiency(read_own(table), what)


def draw_calibration(bins: Path, table: Path) -> Figure:
    """Draw reliability diagrams of the reported set from the two tables of calibration."""
    return quality.reliability(read_own(bins), read_own(table))


def draw_curves(predictions: list[Path], table: Path, *, kind: str, split: str) -> Figure:
    """Draw curves over thresholds from the predictions, with the points of that table.

    ``kind`` is "roc" or "precision_recall"; a table of findings has the column ``finding``.
    """
    rows, points = read_predictions(predictions), read_own(table)
    rows = rows[rows["split"] == split]
    if "finding" in points:
        sides = dict(each(rows))
        points = points.rename(columns={"finding": "positive"})
    else:
        known = labelled(rows)
        sides = {name: known for name in positives(class_names(known))}
    return curves.curves(sides, points, kind)


def draw_validation_curves(pointers: list[Path], *, chance: float) -> Figure:
    """Draw figure 4.2: the classifiers' validation curves, one line per learning rate.

    ``chance``: what guessing scores, in [0, 1]. Of several seeds, the first is drawn.
    """
    runs = [run for run in read_runs(pointers) if run["stage"] == "classification"]
    seed = min(run["seed"] for run in runs)
    histories = []
    for run in runs:
        score = f"val_{run['metric']}"
        points = [r for r in run["history"] if r.get(score) is not None]
        # A continuation's history starts at the first epoch: it holds its search run.
        if run["seed"] != seed or not points:
            continue
        model = [
            other
            for other in runs
            if all(other[k] == run[k] for k in ("variant", "curriculum", "seed"))
        ]
        if run["epochs"] < max(one["epochs"] for one in model if one["lr"] == run["lr"]):
            continue
        # What decided is what the node's own candidates say, not the run that others share.
        compared = [one for one in model if one["lr"] == run["lr"] and one["averaged"]]
        histories.append(
            {
                **{key: run[key] for key in ("variant", "curriculum", "lr", "metric", "chosen")},
                "searched": max(
                    (one["epochs"] for one in model if not one["final"]), default=run["epochs"]
                ),
                "epochs": [r["epoch"] for r in points],
                "values": [r[score] for r in points],
                "averaged": [
                    (r["epoch"], r[AVERAGED])
                    for one in compared
                    for r in one["history"]
                    if r.get(AVERAGED) is not None
                ],
            }
        )
    return validation_curves(histories, chance=chance)


def _choose(predictions: pd.DataFrame, split: str, number: int) -> list[str]:
    """Return ids of the reported split, the classes in turn, the same for every model."""
    rows = predictions[predictions["split"] == split].drop_duplicates("image_id")
    queues = [list(part["image_id"].sort_values()) for _, part in rows.groupby("label")]
    turns = [
        name for place in range(number) for queue in queues for name in queue[place : place + 1]
    ]
    return turns[:number]


def _views(
    models: list[tuple[str, str, Path, Path]],
    packs: dict[str, tuple[Path, Path]],
    chosen: list[str],
    kept: str,
) -> Iterator[tuple[str, list[tuple[pd.Series, np.ndarray, np.ndarray, np.ndarray]]]]:
    """Yield for each model a heading and, for each chosen image, what belongs together.

    That is the line of its prediction, its maps (``kept`` says which of those in the file), the
    picture and the lung mask.
    """
    pictures = _pictures(packs, chosen)
    for variant, curriculum, predictions, maps_file in models:
        lines = read_predictions([predictions]).set_index("image_id")
        with np.load(maps_file) as stored:
            maps = dict(zip(stored["ids"].tolist(), stored[kept], strict=True))
        yield (
            f"{curriculum}\n{variant}",
            [(lines.loc[name], maps[name], *rest) for name, *rest in pictures[variant]],
        )


def draw_attention(
    models: list[tuple[str, str, Path, Path]],
    packs: dict[str, tuple[Path, Path]],
    *,
    split: str,
    number: int,
) -> Figure:
    """Draw figure 4.4: attention maps of ``number`` images by several models.

    ``models`` has (variant, curriculum, predictions file, maps file), ``packs`` the packed
    pictures of each variant and the lung masks that belong to them.
    """
    chosen = _choose(read_predictions([models[0][2]]), split, number)
    return attention.attention_panel(
        {
            heading: [
                attention.AttentionItem(
                    image=image,
                    # Floating point, as the map is.
                    cam=cv2.resize(cam, image.shape[::-1]),  # type: ignore[arg-type]
                    mask=mask,
                    ail=float(line["ail"]),
                    predicted=line["predicted"],
                    label=line["label"],
                )
                for line, cam, image, mask in views
            ]
            for heading, views in _views(models, packs, chosen, "maps")
        }
    )


def draw_class_maps(
    models: list[tuple[str, str, Path, Path]],
    packs: dict[str, tuple[Path, Path]],
    *,
    split: str,
    number: int,
) -> Figure:
    """Draw the maps of every class, of ``number`` images by several models.

    ``models`` and ``packs`` are as for :func:`draw_attention`.
    """
    first = read_predictions([models[0][2]])
    chosen, classes = _choose(first, split, number), class_names(first)
    shown = {
        heading: [
            attention.ClassMapsItem(
                image=image,
                cams=np.stack(
                    [cv2.resize(cam.astype(np.float32), image.shape[::-1]) for cam in cams]
                ),
                mask=mask,
                ails=[float(line[f"{OF_CLASS}{name}"]) for name in classes],
                chances=[float(line[f"prob_{name}"]) for name in classes],
                predicted=line["predicted"],
                label=line["label"],
            )
            for line, cams, image, mask in views
        ]
        for heading, views in _views(models, packs, chosen, "class_maps")
    }
    return attention.class_maps_panel(shown, classes)


def _pictures(
    packs: dict[str, tuple[Path, Path]], chosen: list[str]
) -> dict[str, list[tuple[str, np.ndarray, np.ndarray]]]:
    """Return by variant each chosen image's id, picture uint8 (S, S) and lungs bool (S, S)."""
    found = {}
    for variant, paths in packs.items():
        array, lungs, described = read_with_masks(*paths)
        rows = [described["ids"].index(image_id) for image_id in chosen]
        found[variant] = list(zip(chosen, array[rows], lungs[rows] > 127, strict=True))
    return found


def draw_variants(images_csv: Path, packs: dict[str, tuple[Path, Path]]) -> Figure:
    """Draw figure 4.1: the variants of the first image that has lungs.

    ``packs`` are as for :func:`draw_attention`.
    """
    images = read_as_texts(images_csv)
    first = images[images["mask"] != ""]["image_id"].min()
    shown, masks = {}, {}
    for variant, paths in packs.items():
        array, lungs, described = read_with_masks(*paths)
        row = described["ids"].index(first)
        shown[variant], masks[variant] = array[row], lungs[row] > 127
    return panels.variants_panel(shown, masks)


def draw_masks(images_csv: Path, full_pack: Path, lung_pack: Path) -> Figure:
    """Draw radiographs with their lung masks, from the smallest to the largest lungs."""
    images = read_as_texts(images_csv)
    images = images[images["mask"] != ""]
    images = images.assign(area=images["mask_area"].astype(float)).sort_values("area")
    places = np.unique(np.linspace(0, len(images) - 1, 18).round().astype(int))
    chosen = images.iloc[places]
    array, lungs, described = read_with_masks(full_pack, lung_pack)
    rows = [described["ids"].index(image_id) for image_id in chosen["image_id"]]
    return panels.contact_sheet(
        [array[row] for row in rows],
        [lungs[row] > 127 for row in rows],
        titles=[f"lungs {100 * area:.0f} %" for area in chosen["area"]],
    )
