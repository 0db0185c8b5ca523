"""The configuration that a command is given as Snakemake is: files, and settings over them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from sscdl.errors import InputError
from sscdl.files import HOME
from sscdl.study.config import check_config, load_schema
from sscdl.study.config_files import laid_over, read_files

SCHEMA = HOME / "workflow/schemas/config.schema.yaml"


def add_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Let a command take ``--configfile`` and ``--config``."""
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        required=required,
        default=[],
        metavar="FILE",
        help="the study's configuration, as for snakemake",
    )
    parser.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="likewise, as for snakemake"
    )


def read_config(
    files: Iterable[str | Path],
    settings: Iterable[str] = (),
    *,
    folders: bool = False,
    **others: Any,
) -> dict[str, Any]:
    """Return the checked configuration that files give, over the defaults, later ones first.

    Args:
        files, settings: what stands behind ``--configfile`` and ``--config``. Blocks are merged as
            Snakemake merges them.
        folders: whether the folders of images and masks must be named, for those who read them.
        others: keys, by their names, whose values go over all of these.

    Raises:
        InputError: a file cannot be read, a setting is none, or the configuration is not valid.
    """
    config = read_files(files)
    for text in settings:
        key, sign, value = text.partition("=")
        try:
            config = laid_over(config, {key: yaml.safe_load(value)})
        except yaml.YAMLError:
            sign = ""
        if not (key and sign):
            raise InputError(f"--config {text}: give it as key=value, as for Snakemake")
    return check_config({**config, **others}, load_schema(SCHEMA), folders=folders)
