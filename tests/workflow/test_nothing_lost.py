"""Looking changes nothing, and what is not whole is named and made again."""

from __future__ import annotations

import json
import re
import shutil


def listing(folder) -> dict[str, tuple[int, bytes]]:
    """Return time and contents of every file below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in paths}


def test_a_stage_whose_weights_are_gone_is_planned_by_looks_and_trained_by_a_run(copy):
    store = copy.folder.parent / "store"
    pointer = next((store / "recipes").glob("rotation.*.json"))
    damaged = next((store / "recipes").glob("rotation+classify.*.json"))
    weights = store / "objects" / json.loads(pointer.read_text())["object"] / "weights.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    damaged.write_bytes(damaged.read_bytes()[:200])
    was = listing(store)
    for _ in range(2):
        output = copy("--dry-run", "--quiet", "rules")
        assert re.search(r"^pretext_stage\s+1$", output, re.M)
        assert re.search(r"^finetune\s+1$", output, re.M)
    # Whatever Snakemake remembers of this folder, and whatever it is told to look at.
    remembered = copy.folder / ".snakemake"
    for words in (("--rerun-triggers", "mtime"), ()):
        output = copy("--dry-run", "--quiet", "rules", *words)
        assert re.search(r"^pretext_stage\s+1$", output, re.M)
        assert re.search(r"^finetune\s+1$", output, re.M)
        shutil.rmtree(remembered)
    assert "2 stages to train" in copy("plan")
    assert "Nothing to be done" in copy("images", "--dry-run"), "only what is asked for"
    copy("--summary")
    assert listing(store) == was
    copy("monitors")
    assert weights.read_bytes() == before
    assert "Nothing to be done" in copy("pretrain", "--dry-run")


def test_a_list_that_was_cut_off_is_refused_and_made_again(copy):
    images = copy.results / "images.csv"
    whole, predictions = images.read_bytes(), copy.results / "predictions/full.scratch.s0.csv"
    before = predictions.read_bytes()
    images.write_bytes(b"".join(whole.splitlines(keepends=True)[:12]))
    output = copy(str(predictions.relative_to(copy.folder)), ok=False)
    assert "images.csv: is not the list that was written" in output
    assert "Traceback (most" not in output.partition("images.csv: is not")[0]
    images.unlink()
    copy(str(predictions.relative_to(copy.folder)))
    assert images.read_bytes() == whole
    assert predictions.read_bytes() == before
