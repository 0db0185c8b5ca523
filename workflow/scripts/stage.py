"""Train one node of the trie: a pretext stage or a classifier."""

from pathlib import Path

from sscdl.progress import job_log
from sscdl.stages.node import Stage
from sscdl.stages.stage import run_stage

if __name__ == "__main__":
    stage = snakemake.params.stage
    title = f"{stage['name']} {stage['variant']} s{stage['recipe']['seed']}"
    with job_log(snakemake.log[0], title):
        parent, root = snakemake.input.get("parent"), snakemake.input.get("root")
        monitors = Path(stage.pop("monitors"))
        run_stage(
            Stage(
                **stage,
                **snakemake.params.training,
                pointer=Path(snakemake.output[0]),
                parent=Path(parent) if parent else None,
                root=Path(root) if root else None,
                pack=Path(snakemake.input.pack),
                images=Path(snakemake.input.images),
                monitors=monitors,
            )
        )
