# Tables and figures. Every cell of the accuracy and attention tables comes from predictions/ alone.

from sscdl.report import facts


# What tables and figures are made of is asked for, too: Snakemake makes a file again that is in
# between and has gone only if somebody wants it.
rule tables:
    input:
        written_tables(),
        PREDICTED.values(),
        rules.images.input,


rule figures:
    input:
        drawn_figures(),
        PREDICTIONS,
        MAPS,


rule summary:
    input:
        images=IMAGES,
        tables=[f"{RESULTS}/tables/{name}.csv" for name in SUMMARISED["tables"]],
        figures=[f"{RESULTS}/figures/{name}.png" for name in SUMMARISED["figures"]],
    output:
        page=report(f"{RESULTS}/summary.html", **in_report("summary")),
        description=f"{RESULTS}/summary.rst",
        text=f"{RESULTS}/summary.txt",
    log:
        f"{RESULTS}/logs/summary.log",
    conda:
        ENVIRONMENT
    params:
        told=facts.told(STUDY.config),
        origin=STUDY.layout,
        masks=LUNGS["source"],
        curricula=STUDY.curricula,
        rates=learning_rates_tried(),
        stand_ins=STAND_INS,
        network=lambda wildcards: network_told(),
        code=lambda wildcards: made_by("summary"),
    script:
        "../scripts/summary.py"


rule metadata_baseline:
    input:
        IMAGES,
    output:
        f"{RESULTS}/predictions/metadata.csv",
    log:
        f"{RESULTS}/logs/predict/metadata.log",
    conda:
        ENVIRONMENT
    params:
        data=STUDY.data("full")["final"],
        code=lambda wildcards: made_by("metadata_baseline"),
    script:
        "../scripts/metadata_baseline.py"


rule predict_untrained:
    input:
        unpack(untrained_input),
    output:
        f"{RESULTS}/predictions/untrained/{{variant}}.csv",
    log:
        f"{RESULTS}/logs/predict/untrained/{{variant}}.log",
    wildcard_constraints:
        variant=one_of(STUDY.variants),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        gpu=min(GPUS, 1),
    params:
        networks=STUDY.config["results"]["random_networks"],
        settings=lambda wildcards: classifier_settings(wildcards.variant),
        training=STUDY.config["training"],
        code=lambda wildcards: made_by("untrained"),
    script:
        "../scripts/untrained.py"


for TABLE in OUTPUTS.prediction_tables:

    rule:
        name:
            f"table_{TABLE}"
        input:
            [PREDICTED[folder] for folder in prediction_files.folders_of(TABLE)],
        output:
            multiext(f"{RESULTS}/tables/{TABLE}", ".csv", ".md", ".tex"),
            report(f"{RESULTS}/tables/{TABLE}.html", **in_report(TABLE)),
        log:
            f"{RESULTS}/logs/tables/{TABLE}.log",
        conda:
            ENVIRONMENT
        params:
            name=TABLE,
            split=STUDY.reported,
            convention=STUDY.mask_convention,
            margin=STUDY.config["results"]["margin"],
            stand_ins=STAND_INS,
            network=lambda wildcards: network_told(),
            split_notes=SPLIT_NOTES,
            thesis_figures=STUDY.config["results"]["thesis_figures"],
            code=lambda wildcards: made_by("prediction_table"),
        script:
            "../scripts/prediction_table.py"


for TABLE in OUTPUTS.thesis_tables:
    KIND = thesis.THESIS_TABLES[TABLE].kind
    STAGES = thesis.nodes_of(TABLE, STUDY.whole.values())

    rule:
        name:
            f"table_{TABLE}"
        input:
            predictions=[] if KIND in thesis.OF_RATES else PREDICTIONS,
            pointers=stored(STUDY.pointer(node.fingerprint) for node in STAGES),
            records=stored(RECORDS),
        output:
            multiext(f"{RESULTS}/tables/{TABLE}", ".csv", ".md", ".tex"),
            report(
                f"{RESULTS}/tables/{TABLE}.html", **in_report(TABLE, f"thesis_{KIND}")
            ),
        log:
            f"{RESULTS}/logs/tables/{TABLE}.log",
        conda:
            ENVIRONMENT
        params:
            name=TABLE,
            split=STUDY.reported,
            stand_ins=STAND_INS,
            network=lambda wildcards: network_told(),
            split_notes=SPLIT_NOTES,
            batches=BATCHES,
            classes=STUDY.config["classes"],
            thesis_figures=STUDY.config["results"]["thesis_figures"],
            code=lambda wildcards: made_by("thesis_table"),
        script:
            "../scripts/thesis_table.py"


if OTHERS:

    rule table_beside:
        input:
            predictions=PREDICTIONS,
            others=[path for files in OTHERS.values() for path in files],
        output:
            multiext(f"{RESULTS}/tables/beside", ".csv", ".md", ".tex"),
            report(f"{RESULTS}/tables/beside.html", **in_report("beside")),
        log:
            f"{RESULTS}/logs/tables/beside.log",
        conda:
            ENVIRONMENT
        params:
            others={
                study: [str(path) for path in files] for study, files in OTHERS.items()
            },
            split=STUDY.reported,
            margin=STUDY.config["results"]["margin"],
            code=lambda wildcards: made_by("beside"),
        script:
            "../scripts/beside.py"


rule table_backbones:
    output:
        multiext(f"{RESULTS}/tables/3.1_backbones", ".csv", ".md", ".tex"),
        report(f"{RESULTS}/tables/3.1_backbones.html", **in_report("3.1_backbones")),
    log:
        f"{RESULTS}/logs/tables/3.1_backbones.log",
    conda:
        ENVIRONMENT
    params:
        backbone=STUDY.network,
        thesis_figures=STUDY.config["results"]["thesis_figures"],
        code=lambda wildcards: made_by("backbones"),
    script:
        "../scripts/backbones.py"


rule table_dataset:
    input:
        images=IMAGES,
        rejected=REJECTED,
    output:
        multiext(f"{RESULTS}/tables/dataset", ".csv", ".md", ".tex"),
        report(f"{RESULTS}/tables/dataset.html", **in_report("dataset")),
    log:
        f"{RESULTS}/logs/tables/dataset.log",
    conda:
        ENVIRONMENT
    params:
        code=lambda wildcards: made_by("dataset"),
    script:
        "../scripts/dataset.py"


rule contact_sheet:
    input:
        IMAGES,
    output:
        directory(f"{RESULTS}/contact_sheet"),
    log:
        f"{RESULTS}/logs/contact_sheet.log",
    conda:
        ENVIRONMENT
    params:
        store=STORE,
        code=lambda wildcards: made_by("contact_sheet"),
    script:
        "../scripts/contact_sheet.py"


rule mask_sheet:
    input:
        images=IMAGES,
        masks=stored(STUDY.mask_manifests()),
    output:
        directory(f"{RESULTS}/mask_sheet"),
    log:
        f"{RESULTS}/logs/mask_sheet.log",
    conda:
        ENVIRONMENT
    params:
        implausible=LUNGS["implausible"],
        number=200,
        code=lambda wildcards: made_by("mask_sheet"),
    script:
        "../scripts/mask_sheet.py"


# Not in the report: its rows name images.
rule table_implausible_masks:
    input:
        images=IMAGES,
        masks=stored(STUDY.mask_manifests()),
    output:
        multiext(f"{RESULTS}/tables/implausible_masks", ".csv", ".md", ".tex", ".html"),
    log:
        f"{RESULTS}/logs/tables/implausible_masks.log",
    conda:
        ENVIRONMENT
    params:
        implausible=LUNGS["implausible"],
        code=lambda wildcards: made_by("implausible_masks"),
    script:
        "../scripts/implausible_masks.py"


rule table_normalisation:
    input:
        unpack(variant_packs),
        images=IMAGES,
    output:
        multiext(f"{RESULTS}/tables/4.1_normalisation", ".csv", ".md", ".tex"),
        report(
            f"{RESULTS}/tables/4.1_normalisation.html",
            **in_report("4.1_normalisation"),
        ),
    log:
        f"{RESULTS}/logs/tables/4.1_normalisation.log",
    conda:
        ENVIRONMENT
    params:
        protocol=STUDY.config["protocol"],
        thesis_figures=STUDY.config["results"]["thesis_figures"],
        code=lambda wildcards: made_by("normalisation"),
    script:
        "../scripts/normalisation.py"


for FIGURE, INPUTS in FIGURES.items():

    rule:
        name:
            f"figure_{FIGURE}"
        input:
            **INPUTS,
        output:
            report(
                f"{RESULTS}/figures/{FIGURE}.png",
                **in_report(f"figure_{FIGURE}"),
            ),
        log:
            f"{RESULTS}/logs/figures/{FIGURE}.log",
        conda:
            ENVIRONMENT
        params:
            **told(FIGURE),
            name=FIGURE,
            models=OUTPUTS.figures[FIGURE] if "maps" in INPUTS else [],
            chance=0.5 if FINDINGS else 1 / len(STUDY.config["classes"]),
            split=STUDY.reported,
            number=STUDY.config["results"]["panel_images"],
            network=lambda wildcards: network_told(),
            split_notes=SPLIT_NOTES,
            code=lambda wildcards: made_by("figure"),
        script:
            "../scripts/figure.py"
