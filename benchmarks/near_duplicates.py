"""How alike radiographs of different patients are, and which re-exports of one are found.

    python benchmarks/near_duplicates.py different /data --out different.csv [--pairs 100000]
    python benchmarks/near_duplicates.py exports /data --pictures 200
    python benchmarks/near_duplicates.py speed /data --images 112120

/data holds nih-siim/ (DICOM) and pediatric-cxr/ (JPEG files and images.csv). ``different`` goes on
where its CSV file ends: pairs that are nearest by hash come first, then random ones.
"""

from __future__ import annotations

import argparse
import csv
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs from a plain checkout

from sscdl.dicom.radiograph import Rendering
from sscdl.images.likeness import (
    LARGE,
    SMALL,
    aligned,
    reduced,
    registered_correlation,
    structure,
)
from sscdl.images.near_duplicates import _SMALL_BOUND, BOUND, candidates, hashed
from sscdl.images.picture import read_image

EVERY = 1000

Picture = np.ndarray


def load(data: Path) -> tuple[list[str], list[str], list[Picture]]:
    """Return names, patients and pixels of the radiographs."""
    names, patients, pictures = [], [], []
    for path in sorted((data / "nih-siim" / "train").rglob("*.dcm")):
        found = read_image(path, Rendering())
        names.append(f"nih/{path.stem[-12:]}")
        patients.append(f"nih {found.patient_id}")
        pictures.append(found.pixels)
    with open(data / "pediatric-cxr" / "images.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            names.append(f"pediatric/{row['file']}")
            patients.append(f"pediatric {row['patient']}")
            path = data / "pediatric-cxr" / "images" / row["file"]
            pictures.append(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return names, patients, pictures


def looked_at(pictures: list[Picture]) -> tuple[np.ndarray, np.ndarray]:
    """Return what candidates are found by: reduced pictures and their hashes."""
    small = np.array([reduced(one, SMALL) for one in pictures])
    return small, np.array([hashed(one) for one in small])


def compared(
    one: Picture, other: Picture, small: tuple[np.ndarray, np.ndarray], sign: int
) -> tuple[float, float]:
    """Return the correlation of two pictures at 64 px and, where that passes there, at 256 px.

    ``small`` are both, reduced.
    """
    way, alike = aligned(structure(small[0]), sign * structure(small[1]))
    if way is None or alike < _SMALL_BOUND:
        return alike, 0.0
    first, second = (structure(reduced(each, LARGE)) for each in (one, other))
    return alike, registered_correlation(first, sign * second, way)


def different(data: Path, out: Path, number: int) -> None:
    """Correlate ``number`` pairs of different patients, and print the highest."""
    names, patients, pictures = load(data)
    small, hashes = looked_at(pictures)
    near = [p for p in candidates(small, hashes) if patients[p[0]] != patients[p[1]]]
    draws = np.random.default_rng(1)
    pairs = dict.fromkeys(near)
    while len(pairs) < number:
        one, other = sorted(draws.integers(0, len(names), 2).tolist())
        if patients[one] != patients[other] and (one, other, -1) not in pairs:
            pairs[one, other, 1] = None
    done = set()
    if out.exists():
        with open(out, newline="", encoding="utf-8") as file:
            done = {(row[1], row[2]) for row in csv.reader(file)}
    with open(out, "a", encoding="utf-8") as file:
        for count, (one, other, sign) in enumerate(list(pairs)[:number], start=1):
            if (names[one], names[other]) in done:
                continue
            both = small[one], small[other]
            values = compared(pictures[one], pictures[other], both, sign)
            kind = "nearest" if count <= len(near) else "random"
            numbers = ",".join(f"{value:.4f}" for value in values)
            file.write(f"{kind},{names[one]},{names[other]},{sign},{numbers}\n")
            if count % EVERY == 0:
                file.flush()
                print(count, flush=True)
    with open(out, newline="", encoding="utf-8") as file:
        rows = [(float(row[5]), float(row[4]), *row[:3]) for row in csv.reader(file)]
    for kind in ("nearest", "random"):
        first = np.array([row[1] for row in rows if row[2] == kind])
        large = np.array([row[0] for row in rows if row[2] == kind])
        if not len(first):
            continue
        passed = (first >= _SMALL_BOUND).sum()
        print(
            f"{kind}: {len(first)} pairs; at 64 px median {np.median(first):.2f}, 99 % "
            f"{np.quantile(first, 0.99):.2f}, from {_SMALL_BOUND} on {passed}; "
            f"at 256 px highest {large.max():.3f}, 99.9 % {np.quantile(large, 0.999):.3f}, "
            f"from {BOUND} on {(large >= BOUND).sum()}"
        )
    for row in sorted(rows, reverse=True)[:30]:
        print(*row)


def turned(picture: Picture, degrees: float) -> Picture:
    """Return a picture turned about its middle, black where it was not."""
    height, width = picture.shape
    way = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(picture, way, (width, height))


def jpeg(picture: Picture) -> Picture:
    """Return a picture after JPEG of quality 30."""
    content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 30])[1]
    return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)


def cropped(picture: Picture, share: float) -> Picture:
    """Return a picture without a share of it on each side."""
    rows, columns = (round(share * side) for side in picture.shape)
    return picture[rows:-rows, columns:-columns]


def bordered(picture: Picture, share: float, gray: int) -> Picture:
    """Return a picture with a border of one gray on each side."""
    rows, columns = (round(share * side) for side in picture.shape)
    return cv2.copyMakeBorder(
        picture, rows, rows, columns, columns, cv2.BORDER_CONSTANT, value=gray
    )


def window(picture: Picture, low: float, high: float) -> Picture:
    """Return a picture with all of the gray scale between two percentiles."""
    black, white = np.percentile(picture, [low, high])
    return np.clip((picture - black) * (255 / max(white - black, 1)), 0, 255).astype(np.uint8)


def gamma(picture: Picture, exponent: float) -> Picture:
    """Return a picture with another gray scale."""
    return (255 * (picture / 255) ** exponent).round().astype(np.uint8)


def halved(picture: Picture) -> Picture:
    """Return a picture of half the size."""
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


EXPORTS: dict[str, Callable[[Picture], Picture]] = {
    "half the size": halved,
    "gamma 0.5": lambda one: gamma(one, 0.5),
    "gamma 2": lambda one: gamma(one, 2.0),
    "window from the 10th to the 90th percentile": lambda one: window(one, 10, 90),
    "JPEG, quality 30": jpeg,
    "3 % cropped on each side": lambda one: cropped(one, 0.03),
    "6 % cropped at the top": lambda one: one[round(0.06 * len(one)) :],
    "black border of 5 %": lambda one: bordered(one, 0.05, 0),
    "white border of 5 %": lambda one: bordered(one, 0.05, 255),
    "black bars of 15 % left and right": lambda one: cv2.copyMakeBorder(
        one, 0, 0, *[round(0.15 * one.shape[1])] * 2, cv2.BORDER_CONSTANT, value=0
    ),
    "inverted": lambda one: 255 - one,
    "turned by 2 degrees": lambda one: turned(one, 2),
    "turned by 5 degrees": lambda one: turned(one, 5),
    "half, cropped 3 %, turned 1.5 degrees, window, JPEG": lambda one: jpeg(
        window(turned(cropped(halved(one), 0.03), 1.5), 5, 95)
    ),
    "half, cropped 2 %, border, gamma, JPEG, inverted": lambda one: (
        255 - jpeg(gamma(bordered(cropped(halved(one), 0.02), 0.04, 0), 1.5))
    ),
}


def exports(data: Path, number: int) -> None:
    """Print how many of ``number`` re-exported pictures are found again among all, by kind."""
    _, _, pictures = load(data)
    chosen = np.random.default_rng(2).choice(len(pictures), number, replace=False).tolist()
    small, hashes = looked_at(pictures)
    print("| what was done | candidate | counts | correlation: least, 1 %, median |")
    print("|---|---:|---:|---|")
    for kind, change in EXPORTS.items():
        copies = [change(pictures[one]) for one in chosen]
        others = looked_at(copies)
        found = candidates(np.concatenate([small, others[0]]), np.concatenate([hashes, others[1]]))
        signs = {(one, other): sign for one, other, sign in found}
        places = [(one, len(pictures) + k) for k, one in enumerate(chosen)]
        values = np.array(
            [
                compared(
                    pictures[place[0]], copies[k], (small[place[0]], others[0][k]), signs[place]
                )[1]
                if place in signs
                else -1
                for k, place in enumerate(places)
            ]
        )
        seen = np.sort(values[values >= 0])
        print(
            f"| {kind} | {100 * (values >= 0).mean():.1f} | {100 * (values >= BOUND).mean():.1f} | "
            f"{seen[0]:.2f}, {np.quantile(seen, 0.01):.2f}, {np.median(seen):.2f} |",
            flush=True,
        )


def speed(data: Path, number: int) -> None:
    """Print what finding the candidates among ``number`` made-up pictures takes."""
    _, _, pictures = load(data)
    small, hashes = looked_at(pictures)
    draws = np.random.default_rng(3)
    spread = np.linalg.cholesky(np.cov(hashes.T) + 1e-6 * np.eye(hashes.shape[1]))
    made_up = hashes.mean(axis=0) + draws.normal(size=(number, len(spread))) @ spread.T
    thumbs = small[np.arange(number) % len(small)]
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    found = candidates(thumbs, made_up.astype(np.float32))
    after, elapsed = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - start
    print(
        f"{number} pictures: {len(found)} candidates in {elapsed:.0f} s of wall time, "
        f"{after.ru_utime - before.ru_utime:.0f} s of CPU, peak memory "
        f"{after.ru_maxrss / 1024:.0f} MiB ({before.ru_maxrss / 1024:.0f} before); images a "
        f"candidate list: {Counter(one for pair in found for one in pair[:2]).most_common(1)}"
    )


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["different", "exports", "speed"])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("different.csv"))
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--images", type=int, default=112_120)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    if arguments.what == "different":
        different(arguments.data, arguments.out, arguments.pairs)
    elif arguments.what == "exports":
        exports(arguments.data, arguments.pictures)
    else:
        speed(arguments.data, arguments.images)


if __name__ == "__main__":
    main()
