"""Say which stages are trained and which are to be trained."""

from sscdl.plan import print_plan
from sscdl.progress import job_log

if __name__ == "__main__":
    with job_log(snakemake.log[0], "plan"):
        print_plan(snakemake.params.nodes)
