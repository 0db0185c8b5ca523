# Tables of how stages were trained, from their pointers in the store. Trainings with few labels, of
# which there are many of each model, are in the tables of their scores alone.


rule table_learning_rates:
    input:
        pointers=stored(map(STUDY.pointer, STUDY.whole)),
        records=stored(RECORDS),
    output:
        multiext(f"{RESULTS}/tables/learning_rates", ".csv", ".md", ".tex"),
        report(f"{RESULTS}/tables/learning_rates.html", **in_report("learning_rates")),
    log:
        f"{RESULTS}/logs/tables/learning_rates.log",
    conda:
        ENVIRONMENT
    params:
        thesis_figures=STUDY.config["results"]["thesis_figures"],
        code=lambda wildcards: made_by("learning_rates"),
    script:
        "../scripts/learning_rates.py"


rule table_trainings:
    input:
        pointers=stored(map(STUDY.pointer, STUDY.whole)),
        records=stored(RECORDS),
    output:
        multiext(f"{RESULTS}/tables/trainings", ".csv", ".md", ".tex"),
        report(f"{RESULTS}/tables/trainings.html", **in_report("trainings")),
    log:
        f"{RESULTS}/logs/tables/trainings.log",
    conda:
        ENVIRONMENT
    params:
        code=lambda wildcards: made_by("trainings"),
    script:
        "../scripts/trainings.py"


rule table_search:
    input:
        pointers=stored(map(STUDY.pointer, STUDY.whole)),
        records=stored(RECORDS),
    output:
        multiext(f"{RESULTS}/tables/search", ".csv", ".md", ".tex"),
        report(f"{RESULTS}/tables/search.html", **in_report("search")),
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
            for node in STUDY.whole.values()
        ],
        halving={key: STUDY.config["search"][key] for key in ("first", "keep")},
        code=lambda wildcards: made_by("search"),
    script:
        "../scripts/search.py"
