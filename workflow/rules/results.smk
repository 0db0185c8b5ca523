# Tables and figures. Every cell of the accuracy and attention tables comes from predictions/ alone.

from sscdl import thesis_names

BATCHES = {task: stage["batch_size"] for task, stage in STUDY.config["stages"].items()}
THESIS_TABLES = thesis_names.tables_of(
    STUDY.nodes.values(), classes=STUDY.config["classes"], batches=BATCHES
)


rule tables:
    input:
        written_tables(),


rule figures:
    input:
        drawn_figures(),


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
        classes=STUDY.config["classes"],
    script:
        "../scripts/metadata_baseline.py"


for TABLE in PREDICTION_TABLES:

    rule:
        name:
            f"table_{TABLE}"
        input:
            PREDICTIONS,
            f"{RESULTS}/predictions/metadata.csv",
        output:
            report(
                f"{RESULTS}/tables/{TABLE}.csv",
                caption=f"../report/{TABLE}.rst",
                category="Tables",
                labels={"table": TABLE},
            ),
            multiext(f"{RESULTS}/tables/{TABLE}", ".md", ".tex"),
        log:
            f"{RESULTS}/logs/tables/{TABLE}.log",
        conda:
            ENVIRONMENT
        params:
            name=TABLE,
            split=STUDY.reported,
            convention=STUDY.mask_convention,
            thesis=THESIS,
            draws=STUDY.config["results"]["bootstrap"],
            stand_ins=STAND_INS,
        script:
            "../scripts/prediction_table.py"


for TABLE in THESIS_TABLES:
    KIND = thesis_names.THESIS_TABLES[TABLE].kind
    STAGES = thesis_names.nodes_of(TABLE, STUDY.nodes.values())

    rule:
        name:
            f"table_{TABLE}"
        input:
            predictions=[] if KIND in thesis_names.OF_RATES else PREDICTIONS,
            pointers=[str(STUDY.pointer(node.fingerprint)) for node in STAGES],
        output:
            report(
                f"{RESULTS}/tables/{TABLE}.csv",
                caption=f"../report/thesis_{KIND}.rst",
                category="Tables",
                labels={"table": TABLE},
            ),
            multiext(f"{RESULTS}/tables/{TABLE}", ".md", ".tex"),
        log:
            f"{RESULTS}/logs/tables/{TABLE}.log",
        conda:
            ENVIRONMENT
        params:
            name=TABLE,
            split=STUDY.reported,
            thesis=THESIS,
            draws=STUDY.config["results"]["bootstrap"],
            stand_ins=STAND_INS,
            batches=BATCHES,
        script:
            "../scripts/thesis_table.py"


rule table_backbones:
    output:
        report(
            f"{RESULTS}/tables/3.1_backbones.csv",
            caption="../report/3.1_backbones.rst",
            category="Tables",
            labels={"table": "3.1_backbones"},
        ),
        multiext(f"{RESULTS}/tables/3.1_backbones", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/tables/3.1_backbones.log",
    conda:
        ENVIRONMENT
    params:
        backbone=STUDY.config["backbone"],
        thesis=THESIS,
    script:
        "../scripts/backbones.py"


rule table_dataset:
    input:
        images=IMAGES,
        rejected=REJECTED,
    output:
        report(
            f"{RESULTS}/tables/dataset.csv",
            caption="../report/dataset.rst",
            category="Data",
            labels={"table": "dataset"},
        ),
        multiext(f"{RESULTS}/tables/dataset", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/tables/dataset.log",
    conda:
        ENVIRONMENT
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
    script:
        "../scripts/contact_sheet.py"


rule mask_sheet:
    input:
        images=IMAGES,
        masks=[str(path) for path in STUDY.mask_manifests()],
    output:
        directory(f"{RESULTS}/mask_sheet"),
    log:
        f"{RESULTS}/logs/mask_sheet.log",
    conda:
        ENVIRONMENT
    params:
        implausible=LUNGS["implausible"],
        number=200,
    script:
        "../scripts/mask_sheet.py"


# Not in the report: its rows name images.
rule table_implausible_masks:
    input:
        images=IMAGES,
        masks=[str(path) for path in STUDY.mask_manifests()],
    output:
        multiext(f"{RESULTS}/tables/implausible_masks", ".csv", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/tables/implausible_masks.log",
    conda:
        ENVIRONMENT
    params:
        implausible=LUNGS["implausible"],
    script:
        "../scripts/implausible_masks.py"


rule table_normalisation:
    input:
        unpack(variant_packs),
        images=IMAGES,
    output:
        report(
            f"{RESULTS}/tables/4.1_normalisation.csv",
            caption="../report/4.1_normalisation.rst",
            category="Tables",
            labels={"table": "4.1_normalisation"},
        ),
        multiext(f"{RESULTS}/tables/4.1_normalisation", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/tables/4.1_normalisation.log",
    conda:
        ENVIRONMENT
    params:
        protocol=STUDY.config["protocol"],
        thesis=THESIS,
    script:
        "../scripts/normalisation.py"


rule table_learning_rates:
    input:
        [str(STUDY.pointer(fingerprint)) for fingerprint in STUDY.nodes],
    output:
        report(
            f"{RESULTS}/tables/learning_rates.csv",
            caption="../report/learning_rates.rst",
            category="Tables",
            labels={"table": "learning_rates"},
        ),
        multiext(f"{RESULTS}/tables/learning_rates", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/tables/learning_rates.log",
    conda:
        ENVIRONMENT
    params:
        thesis=THESIS,
    script:
        "../scripts/learning_rates.py"


rule table_search:
    input:
        [str(STUDY.pointer(fingerprint)) for fingerprint in STUDY.nodes],
    output:
        report(
            f"{RESULTS}/tables/search.csv",
            caption="../report/search.rst",
            category="Tables",
            labels={"table": "search"},
        ),
        multiext(f"{RESULTS}/tables/search", ".md", ".tex"),
    log:
        f"{RESULTS}/logs/tables/search.log",
    conda:
        ENVIRONMENT
    params:
        searches=[
            {
                "search": node.recipe["settings"].get("search", {"method": "grid"}),
                "search_epochs": node.recipe["settings"]["search_epochs"],
            }
            for node in STUDY.nodes.values()
        ],
        halving={key: STUDY.config["search"][key] for key in ("first", "keep")},
    script:
        "../scripts/search.py"


for FIGURE, INPUTS in FIGURES.items():

    rule:
        name:
            f"figure_{FIGURE}"
        input:
            **INPUTS,
        output:
            report(
                f"{RESULTS}/figures/{FIGURE}.png",
                caption=f"../report/figure_{FIGURE.partition('-')[0]}.rst",
                category="Figures",
                labels={"figure": FIGURE},
            ),
        log:
            f"{RESULTS}/logs/figures/{FIGURE}.log",
        conda:
            ENVIRONMENT
        params:
            name=FIGURE,
            models=ATTENTION_FIGURES.get(FIGURE, []),
            classes=len(STUDY.config["classes"]),
            split=STUDY.reported,
            number=STUDY.config["results"]["panel_images"],
        script:
            "../scripts/figure.py"
