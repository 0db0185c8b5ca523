"""Write the summary of the study."""

import os
from pathlib import Path

from sscdl.progress import job_log
from sscdl.report.facts import facts
from sscdl.report.summary import write_summary
from sscdl.training.network_facts import map_notes

if __name__ == "__main__":
    params = snakemake.params
    of_attention = not params.told["findings"]
    with job_log(snakemake.log[0], "summary"):
        write_summary(
            Path(snakemake.output.page),
            Path(snakemake.output.description),
            Path(snakemake.output.text),
            study=params.told["study"],
            facts=facts(
                params.told,
                origin=params.origin,
                masks=params.masks,
                curricula=params.curricula,
                rates=params.rates,
                stand_ins=params.stand_ins,
                map_notes=(
                    map_notes(**params.network, store=os.environ["SSCDL_STORE"])
                    if of_attention
                    else ()
                ),
            ),
            images_csv=Path(snakemake.input.images),
            tables={Path(path).stem: Path(path) for path in snakemake.input.tables},
            figures={Path(path).stem: Path(path) for path in snakemake.input.figures},
        )
