# What would be trained, why, and what that takes: asked before anything runs.


rule plan:
    log:
        f"{RESULTS}/logs/plan.log",
    conda:
        ENVIRONMENT
    params:
        study=lambda wildcards: STUDY.outline(),
    script:
        "../scripts/plan.py"
