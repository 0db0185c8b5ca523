"""Fit linear probes to the frozen networks of one variant and seed, predict held-out images."""

from pathlib import Path

from sscdl.evaluation.probe_study import Network, probe_networks
from sscdl.progress import job_log

if __name__ == "__main__":
    params, wildcards = snakemake.params, snakemake.wildcards
    with job_log(snakemake.log[0], f"probe {wildcards.variant} s{wildcards.seed}"):
        pointers = zip(params.nodes, snakemake.input.pointers, strict=True)
        roots = zip(params.roots, snakemake.input.roots, strict=True)
        networks = [
            *(Network(name, root=Path(path)) for name, path in roots),
            *(Network(name, pointer=Path(path)) for name, path in pointers),
        ]
        probe_networks(
            networks,
            Path(snakemake.input.pack),
            Path(snakemake.input.images),
            Path(snakemake.output[0]),
            variant=wildcards.variant,
            seed=int(wildcards.seed),
            device=params.training["device"],
            threads=params.training["threads"],
            **params.settings,
        )
