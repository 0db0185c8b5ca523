"""Use a finished classifier elsewhere.

python -m sscdl model export STORE_OR_POINTER OUT --configfile STUDY.yaml
python -m sscdl model predict MODEL IMAGES OUT
python -m sscdl model score PREDICTIONS LABELS OUT

`export` makes a folder that holds a classifier, or a model of findings, and all that its use needs;
`predict` asks it about DICOM, PNG, JPEG or TIFF files, which become its input as those of its
training did; `score` compares predictions with labels, on another data set than the one trained on.
Not a medical device.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from sscdl.command_line import command_parser
from sscdl.study.reading import add_arguments

# How thresholds are chosen: as it is typed in a shell, and as tables call it, which need libraries
# that the help text need not wait for.
RULES = {
    "youden": "Youden",
    "sensitivity-90": "sensitivity 90 %",
    "specificity-90": "specificity 90 %",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status; InputError if it cannot do what is asked."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Each batch of images is packed like a whole study, which need not be told.
    logging.getLogger("sscdl.variants").setLevel(logging.WARNING)
    return options.run(options)


def _export(options: argparse.Namespace) -> int:
    # Importing torch takes seconds, which the help text need not wait for.
    from sscdl.model.export import export

    export(
        options.source,
        options.out,
        configfiles=options.configfile,
        settings=options.config,
        node=options.node,
        variant=options.variant,
        segmenter=options.segmenter,
        predictions=options.predictions,
        rule=RULES.get(options.threshold, ""),
        data_name=options.data_name,
        gray=options.gray,
        trust=options.trust_configuration,
    )
    return 0


def _predict(options: argparse.Namespace) -> int:
    from sscdl.model.folder import Model
    from sscdl.model.predict import predict_folder
    from sscdl.training.device import choose_device

    model = Model(options.model, choose_device(options.device))
    failed = predict_folder(
        model, options.images, options.out, attention=options.attention, view=options.view
    )
    return 1 if failed else 0


def _score(options: argparse.Namespace) -> int:
    from sscdl.model.score import score

    table = score(options.predictions, options.labels, options.out)
    print(table.round(3).to_string(index=False, na_rep=""))
    return 1 if table.attrs["unread"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(__doc__, "model")
    commands = parser.add_subparsers(required=True, metavar="export|predict|score")
    export = commands.add_parser("export", help="make a folder of a finished classifier")
    export.set_defaults(run=_export)
    export.add_argument(
        "source",
        type=Path,
        metavar="STORE_OR_POINTER",
        help="the study's store, or the classifier's file in its folder recipes",
    )
    export.add_argument("out", type=Path, help="folder to be made")
    export.add_argument(
        "--node",
        default="",
        help="which classifier of the store: its curriculum, or the beginning of its fingerprint",
    )
    export.add_argument("--variant", default="", help="the variant that it was trained on")
    # How its images were made is not kept with the weights.
    add_arguments(export, required=False)
    export.add_argument(
        "--segmenter",
        type=Path,
        help="what finds the lungs, where the study's masks were given to it: a file, or `default`",
    )
    export.add_argument(
        "--predictions",
        type=Path,
        help="the model's file in results/<study>/predictions, for the scores on the card; a model "
        "of findings needs it, for its thresholds",
    )
    export.add_argument(
        "--threshold",
        choices=list(RULES),
        help="from which probability on a finding is called, chosen on validation images: by the "
        "largest sum of sensitivity and specificity (youden, the default), or where one of them is "
        "at least 90 %% at the least cost of the other",
    )
    export.add_argument("--data-name", default="", help="name of the data set, for the card")
    export.add_argument(
        "--gray",
        type=float,
        help="mean of the full images in [0, 1], for segmented_gray where the store lacks it",
    )
    export.add_argument(
        "--trust-configuration",
        action="store_true",
        help="take the configuration where the archive is out of reach or the program has changed, "
        "so that nothing proves it to be the one of the training",
    )
    predict = commands.add_parser("predict", help="ask a model about images")
    predict.set_defaults(run=_predict)
    predict.add_argument("model", type=Path, help="folder that export made")
    predict.add_argument("images", type=Path, help="folder of image files at any depth, or a file")
    predict.add_argument("out", type=Path, help="folder for predictions.csv and masks/")
    predict.add_argument(
        "--attention",
        action="store_true",
        help="draw attention/<name>.png, which show the patients' radiographs",
    )
    predict.add_argument(
        "--view",
        choices=("AP", "PA"),
        default="",
        help="view of the files that do not tell theirs, if the model was trained on known views",
    )
    predict.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    score = commands.add_parser("score", help="compare predictions with known labels")
    score.set_defaults(run=_score)
    score.add_argument("predictions", type=Path, help="predictions.csv, as predict wrote it")
    score.add_argument(
        "labels",
        type=Path,
        help="CSV with the columns file, patient (empty if not known) and label, or, for a model "
        "of findings, one column for each: 1 shown, 0 not shown, empty if not known",
    )
    score.add_argument("out", type=Path, help="stem of the table's files: out/scores")
    return parser
