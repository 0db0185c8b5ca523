# One job for each unfinished pretext stage of the trie of curricula.


rule pretrain:
    input:
        [str(STUDY.pointer(fingerprint)) for fingerprint in PRETEXT],
        RECORDS,


rule monitors:
    input:
        pointers=[str(STUDY.pointer(f)) for f in STUDY.nodes],
        records=RECORDS,
    log:
        f"{RESULTS}/logs/monitors.log",
    conda:
        ENVIRONMENT
    params:
        folders=[monitors(node) for node in STUDY.nodes.values()],
    script:
        "../scripts/monitors.py"


if ROOTS and unfinished(ROOTS.values()):

    rule fetch_root:
        output:
            update(f"{STORE}/roots/{{root}}.{{identity}}.safetensors"),
        log:
            f"{RESULTS}/logs/roots/{{root}}.{{identity}}.log",
        wildcard_constraints:
            root=one_of(ROOTS),
            identity="[0-9a-f]{12}",
        priority: 100
        # Downloads first and here: a compute node may be without the internet.
        localrule: True
        conda:
            ENVIRONMENT
        params:
            file=lambda wildcards: STUDY.config["roots"]
            .get(wildcards.root, {})
            .get("file"),
            stand_in=lambda wildcards: STUDY.config["roots"]
            .get(wildcards.root, {})
            .get("stand_in", False),
            backbone=STUDY.network,
        script:
            "../scripts/fetch_root.py"


if not set(PRETEXT).isdisjoint(UNTRAINED):

    rule pretext_stage:
        input:
            unpack(stage_input),
        output:
            update(f"{STORE}/recipes/{{node}}.{{fingerprint}}.json"),
        log:
            f"{RESULTS}/logs/pretrain/{{node}}.{{fingerprint}}.log",
        wildcard_constraints:
            node=one_of(STUDY.nodes[f].name for f in PRETEXT),
            fingerprint=one_of(set(PRETEXT).intersection(UNTRAINED)),
        conda:
            ENVIRONMENT
        threads: THREADS * PROCESSES
        resources:
            gpu=GPUS,
        params:
            stage=stage_parameters,
            training=STUDY.config["training"],
        script:
            "../scripts/stage.py"
