# One job for each unfinished classifier, and its predictions on the images it was not trained on.

if not set(CLASSIFIERS).isdisjoint(UNTRAINED):

    rule finetune:
        input:
            unpack(stage_input),
        output:
            update(f"{STORE}/recipes/{{node}}.{{fingerprint}}.json"),
        log:
            f"{RESULTS}/logs/finetune/{{node}}.{{fingerprint}}.log",
        wildcard_constraints:
            node=one_of(STUDY.nodes[f].name for f in CLASSIFIERS),
            fingerprint=one_of(set(CLASSIFIERS).intersection(UNTRAINED)),
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


rule predict:
    input:
        unpack(model_input),
    output:
        predictions=f"{RESULTS}/predictions/{{variant}}.{{curriculum}}.s{{seed}}.csv",
        maps=f"{RESULTS}/attention/{{variant}}.{{curriculum}}.s{{seed}}.npz",
    log:
        f"{RESULTS}/logs/predict/{{variant}}.{{curriculum}}.s{{seed}}.log",
    wildcard_constraints:
        variant=one_of(STUDY.variants),
        curriculum=one_of(STUDY.curricula),
        seed="[0-9]+",
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
    params:
        training=STUDY.config["training"],
        code=lambda wildcards: made_by("predict"),
    script:
        "../scripts/predict.py"


rule predict_few:
    input:
        unpack(few_input),
    output:
        f"{RESULTS}/predictions/few_labels/{{variant}}.{{curriculum}}.s{{seed}}.csv",
    log:
        f"{RESULTS}/logs/predict/few_labels/{{variant}}.{{curriculum}}.s{{seed}}.log",
    wildcard_constraints:
        variant=one_of(STUDY.variants),
        curriculum=one_of(STUDY.curricula),
        seed="[0-9]+",
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
    params:
        training=STUDY.config["training"],
        code=lambda wildcards: made_by("predict_few"),
    script:
        "../scripts/predict_few.py"


rule predict_shown:
    input:
        unpack(shown_input),
    output:
        f"{RESULTS}/predictions/shown/{{variant}}.{{curriculum}}.s{{seed}}.csv",
    log:
        f"{RESULTS}/logs/predict/shown/{{variant}}.{{curriculum}}.s{{seed}}.log",
    wildcard_constraints:
        variant=one_of(STUDY.variants),
        curriculum=one_of(STUDY.curricula),
        seed="[0-9]+",
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
    params:
        training=STUDY.config["training"],
        shown=lambda wildcards: other_variants(wildcards.variant),
        code=lambda wildcards: made_by("predict_shown"),
    script:
        "../scripts/predict_shown.py"


rule faithfulness:
    input:
        unpack(model_input),
    output:
        f"{RESULTS}/predictions/faithfulness/{{variant}}.{{curriculum}}.s{{seed}}.csv",
    log:
        f"{RESULTS}/logs/predict/faithfulness/{{variant}}.{{curriculum}}.s{{seed}}.log",
    wildcard_constraints:
        variant=one_of(STUDY.variants),
        curriculum=one_of(STUDY.curricula),
        seed="[0-9]+",
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
    params:
        split=STUDY.reported,
        training=STUDY.config["training"],
        code=lambda wildcards: made_by("faithfulness"),
    script:
        "../scripts/faithfulness.py"


rule probe:
    input:
        unpack(probe_input),
    output:
        f"{RESULTS}/predictions/probe/{{variant}}.s{{seed}}.csv",
    log:
        f"{RESULTS}/logs/probe/{{variant}}.s{{seed}}.log",
    wildcard_constraints:
        variant=one_of(STUDY.variants),
        seed="[0-9]+",
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
    params:
        nodes=lambda wildcards: [
            node.curriculum for node in probed(wildcards.variant, int(wildcards.seed))
        ],
        roots=list(ROOTS),
        settings=lambda wildcards: probe_settings(wildcards.variant),
        training=STUDY.config["training"],
        code=lambda wildcards: made_by("probe"),
    script:
        "../scripts/probe.py"


rule probe_random:
    input:
        unpack(random_probe_input),
    output:
        f"{RESULTS}/predictions/probe/{{variant}}.random.csv",
    log:
        f"{RESULTS}/logs/probe/{{variant}}.random.log",
    wildcard_constraints:
        variant=one_of(STUDY.variants),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
    params:
        networks=STUDY.config["results"]["random_networks"],
        seeds=STUDY.seeds,
        settings=lambda wildcards: probe_settings(wildcards.variant),
        training=STUDY.config["training"],
        code=lambda wildcards: made_by("probe_random"),
    script:
        "../scripts/probe_random.py"
