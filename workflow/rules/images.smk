# From DICOM files to packed arrays of image variants. Everything but images.csv lies in the store.
# Its files are declared with update(): Snakemake would delete others before their job starts, and with
# them what another study may just have finished or be reading.


rule images:
    input:
        [f"{RESULTS}/{name}" for name in LISTS],


rule masks:
    input:
        [str(path) for path in STUDY.mask_manifests()],
        RECORDS,


rule segmenter:
    input:
        str(STUDY.segmenter_file) if STUDY.segmenter_file else [],


if PHANTOM and unfinished([PHANTOM_DONE]):

    rule phantom:
        output:
            update(PHANTOM_DONE),
        log:
            f"{RESULTS}/logs/phantom.log",
        conda:
            ENVIRONMENT
        params:
            archive=str(STUDY.archive),
            settings=STUDY.config["dataset"]["phantom"],
        script:
            "../scripts/phantom.py"


if unfinished(STUDY.image_manifests(made=True)):

    rule ingest:
        input:
            PHANTOM_DONE if PHANTOM else [],
        output:
            update(
                f"{STUDY.image_identity.made(STUDY.store)}/shard-{{shard}}-of-{STUDY.shards}.json"
            ),
        log:
            f"{RESULTS}/logs/ingest/shard-{{shard}}.log",
        wildcard_constraints:
            shard=one_of(
                path.name.split("-")[1]
                for path in unfinished(STUDY.image_manifests(made=True))
            ),
        conda:
            ENVIRONMENT
        params:
            cohorts=STUDY.cohorts,
            settings=STUDY.config["ingest"],
        script:
            "../scripts/ingest.py"


if STUDY.config["lungs"]["source"] == "train" and unfinished([STUDY.segmenter_file]):

    rule train_segmenter:
        output:
            update(str(STUDY.segmenter_file)),
        log:
            f"{RESULTS}/logs/segmenter.log",
        conda:
            ENVIRONMENT
        threads: THREADS
        resources:
            gpu=GPUS,
        params:
            settings=STUDY.config["lungs"]["train"],
            threads=THREADS,
            device=STUDY.config["training"]["device"],
        script:
            "../scripts/train_segmenter.py"


if PUBLISHED and unfinished([STUDY.segmenter_file]):

    rule fetch_lungvae:
        output:
            update(str(STUDY.segmenter_file)),
        log:
            f"{RESULTS}/logs/fetch_lungvae.log",
        priority: 100
        # Downloads first and here: a compute node may be without the internet.
        localrule: True
        conda:
            ENVIRONMENT
        script:
            "../scripts/fetch_lungvae.py"


if unfinished(STUDY.mask_manifests(made=True)):

    rule segment:
        input:
            images=f"{STORE}/images/{STUDY.images}/shard-{{shard}}-of-{STUDY.shards}.json",
            segmenter=str(STUDY.segmenter_file) if STUDY.segmenter_file else [],
        output:
            update(
                f"{STUDY.mask_identity.made(STUDY.store)}/shard-{{shard}}-of-{STUDY.shards}.json"
            ),
        log:
            f"{RESULTS}/logs/segment/shard-{{shard}}.log",
        wildcard_constraints:
            shard=one_of(
                path.name.split("-")[1]
                for path in unfinished(STUDY.mask_manifests(made=True))
            ),
        conda:
            ENVIRONMENT
        params:
            given=STUDY.config["lungs"]["masks"]["folder"],
            hull=STUDY.config["lungs"]["implausible"] == "hull",
        script:
            "../scripts/segment.py"


# What an earlier version made of files of the same names and sizes is compared with these files once.
for ONE, EARLIER, ANEW, MADE_OF in (
    (
        STUDY.image_identity,
        STUDY.image_manifests(),
        STUDY.image_manifests(made=True),
        " and ".join(str(cohort["root"]) for cohort in STUDY.cohorts.values()),
    ),
    (
        STUDY.mask_identity,
        STUDY.mask_manifests(),
        STUDY.mask_manifests(made=True),
        f"lungs.{LUNGS['source']}",
    ),
):
    if not ONE.decided:

        rule:
            name:
                f"compare_{ONE.kind}"
            input:
                earlier=[str(path) for path in EARLIER],
                anew=[str(path) for path in ANEW],
            output:
                update(str(ONE.record(STUDY.store))),
            log:
                f"{RESULTS}/logs/compare/{ONE.kind}.log",
            conda:
                ENVIRONMENT
            params:
                kind=ONE.kind,
                made_of=MADE_OF,
            script:
                "../scripts/compare.py"


if STUDY.near_record and unfinished([STUDY.near_record]):

    rule near_duplicates:
        input:
            [str(path) for path in STUDY.image_manifests()],
        output:
            update(str(STUDY.near_record)),
        log:
            f"{RESULTS}/logs/near_duplicates.log",
        conda:
            ENVIRONMENT
        threads: THREADS
        script:
            "../scripts/near_duplicates.py"


rule list_images:
    input:
        stored(RECORDS),
        near_duplicates=stored(STUDY.near_record or []),
        images=stored(STUDY.image_manifests()),
        masks=stored(STUDY.mask_manifests()),
        phantom=stored(PHANTOM_DONE or []),
    output:
        images=IMAGES,
        description=f"{RESULTS}/images.json",
        rejected=REJECTED,
        near_duplicates=f"{RESULTS}/near_duplicates.csv",
    log:
        f"{RESULTS}/logs/list_images.log",
    conda:
        ENVIRONMENT
    params:
        truths=(
            [f"{cohort['root']}/truth/truth.csv" for cohort in STUDY.cohorts.values()]
            if PHANTOM
            else []
        ),
        implausible=STUDY.config["lungs"]["implausible"],
        split=STUDY.seeded_split,
        # No recipe has it, as it changes nothing of what is made but whether it is.
        straddling=STUDY.config["split"]["straddling"],
        treatment=STUDY.near_treatment,
        classes=STUDY.config["findings"] or STUDY.config["classes"],
        several=FINDINGS,
        masked=STUDY.variants != ["full"],
        code=lambda wildcards: made_by("list_images"),
        # What the description of the list carries, and stages compare.
        source=STUDY.data("full")["pretext"]["source"],
        given_source=STUDY.data("full")["pretext"].get("given_source"),
        # No recipe has what a given split names in vain, which stands among the findings.
        given_findings=STUDY.split_findings,
    script:
        "../scripts/list_images.py"


for VARIANT in sorted(
    {"full", "lungs", *STUDY.variants, *map(masks_of, STUDY.variants)}
):
    if unfinished([STUDY.pack(VARIANT)]):

        rule:
            name:
                f"pack_{VARIANT}"
            input:
                images=[str(path) for path in STUDY.image_manifests()],
                masks=(
                    []
                    if VARIANT == "full"
                    else [str(path) for path in STUDY.mask_manifests()]
                ),
                full=str(STUDY.pack("full")) if VARIANT == "segmented_gray" else [],
            output:
                update(str(STUDY.pack(VARIANT))),
            log:
                f"{RESULTS}/logs/pack/{VARIANT}.log",
            conda:
                ENVIRONMENT
            params:
                variant=VARIANT,
                size=STUDY.config["image"]["packed"],
                edge=STUDY.edge(VARIANT),
            script:
                "../scripts/pack.py"
