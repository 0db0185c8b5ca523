"""What the rule that lists images has among its parameters where the split is given."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from sscdl.equivalence import group_hash
from tests.conftest import ROOT
from tests.unit.table_archives import archive

PARAMETERS = """
import json, sys
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, ResourceSettings
with SnakemakeApi() as api:
    read = api.workflow(
        ResourceSettings(cores=1),
        ConfigSettings(configfiles=[Path("study.yaml")]),
        snakefile=Path(sys.argv[1]),
    )
    (rule,) = (one for one in read._workflow.rules if one.name == "list_images")
    names = ("split", "source", "given_source", "given_findings")
    print("PARAMETERS", json.dumps({name: rule.params.get(name) for name in names}))
"""


@pytest.fixture
def parameters(tmp_path):
    """Return a function that returns the parameters for a block ``split``."""
    rows = [(f"{n}.png", f"p{n}", "ab"[n % 2], "test" if n < 4 else "train") for n in range(8)]
    archive(tmp_path / "data", ("file", "who", "label", "part"), rows, [row[0] for row in rows])
    labels = {name: {"column": "label", "values": [name]} for name in "ab"}
    columns = {"file": "file", "patient": "who"}
    table = {"root": str(tmp_path / "data"), "table": "table.csv"}
    config = {
        "study": "s", "store": "store", "classes": ["a", "b"], "curricula": ["scratch"],
        "dataset": {"layout": "table", "table": table | {"labels": labels, "columns": columns}},
    }  # fmt: skip

    def found(split):
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(config | {"split": split}))
        done = subprocess.run(
            [sys.executable, "-c", PARAMETERS, str(ROOT / "Snakefile")], cwd=tmp_path,
            stdout=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
        (line,) = (one for one in done.stdout.splitlines() if one.startswith("PARAMETERS "))
        return json.loads(line.removeprefix("PARAMETERS "))

    return found


def test_the_list_is_made_again_by_other_code_for_given_sides_and_other_findings(parameters):
    column = {"name": "part", "test": ["test"]}
    given = parameters({"source": "column", "column": column})
    assert given["source"] == group_hash("split")
    assert given["given_source"] == group_hash("given split")
    assert given["split"].keys() == {"by", "stratified", "val", "given", "seed"}
    more = parameters({"source": "column", "column": column | {"train": ["train"]}})
    assert given["split"] == more["split"]
    assert given["given_findings"] != more["given_findings"], "that train is left out is one"
    drawn = parameters({})
    assert drawn["given_source"] is drawn["given_findings"] is None
    assert drawn["split"]["seed"] == 0
