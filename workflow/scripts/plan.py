"""Say which stages would be trained, why, and what that takes."""

from pathlib import Path

from sscdl.planning.plan import plan
from sscdl.progress import job_log
from sscdl.study.trie import Node

if __name__ == "__main__":
    given = dict(snakemake.params.study)
    nodes = [Node(**node) for node in given.pop("nodes")]
    paths = {key: Path(given.pop(key)) for key in ("store", "images_csv", "table")}
    with job_log(snakemake.log[0], "plan"):
        print(plan(nodes, **paths, **given))
