"""Follow one classifier's probabilities while pixels are taken away or given back by its maps."""

from pathlib import Path

from sscdl.evaluation.faithfulness import write_faithfulness
from sscdl.progress import job_log

if __name__ == "__main__":
    training, wildcards = snakemake.params.training, snakemake.wildcards
    with job_log(snakemake.log[0], "faithfulness"):
        write_faithfulness(
            Path(snakemake.input.pointer),
            Path(snakemake.input.pack),
            Path(snakemake.input.images),
            Path(snakemake.output[0]),
            variant=wildcards.variant,
            curriculum=wildcards.curriculum,
            seed=int(wildcards.seed),
            split=snakemake.params.split,
            device=training["device"],
            threads=training["threads"],
        )
