"""Write the table that describes the data set."""

from pathlib import Path

from sscdl.images.held_out import read_as_texts
from sscdl.own_csv import read_own
from sscdl.progress import job_log
from sscdl.tables.dataset import dataset_table
from sscdl.tables.files import write_table

if __name__ == "__main__":
    with job_log(snakemake.log[0], "dataset"):
        images = read_as_texts(Path(snakemake.input.images))
        rejected = read_own(snakemake.input.rejected, keep_default_na=False)
        table = dataset_table(images, rejected)
        write_table(
            table,
            Path(snakemake.output[0]).with_suffix(""),
            caption="The images of the study, their properties by split, and what was set aside.",
            notes=[
                "set aside: lines of rejected.csv; remarks on images in use stand in images.csv.",
                "A patient of several splits counts once in the total, and so does an image of "
                "which the marked test sets show copies.",
            ],
            digits=1,
        )
