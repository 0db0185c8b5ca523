# Self-supervised curricular deep learning for chest radiographs: the whole study as one workflow.
#
#   snakemake --cores 8 --resources gpu=1 --configfile config/demo.yaml [all|images|masks|pretrain|tables|figures|plan]

from snakemake.utils import min_version

min_version("9.0")


# A cap on local GPU jobs must not throttle a cluster.
resource_scopes:
    gpu="local",


include: "workflow/rules/terminal.smk"


configfile: workflow.source_path("config/config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/outputs.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/pretraining.smk"
include: "workflow/rules/finetuning.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/trainings.smk"


localrules:
    all,
    images,
    masks,
    pretrain,
    tables,
    figures,
    plan,
    monitors,


onstart:
    refuse_at_start()
    tell_steps()


onsuccess:
    tell_outcome()


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.summary.output,
