"""The command that looks at a store: its overview, the history of a stage, its checks."""

from __future__ import annotations

import base64
import subprocess
import sys
import zipfile

import pytest

from sscdl.__main__ import main
from sscdl.files import read_json, write_json
from sscdl.store.choice import select
from sscdl.store.nodes import below, parents, read_nodes, shown_size
from sscdl.upkeep.verify import verify


def run(*arguments) -> int:
    return main(["store", *map(str, arguments)])


def damaged(store) -> list:
    """Return path and fault of what a check finds damaged."""
    return [(one.path, one.fault) for one in verify(store.folder) if one.kind == "damaged"]


def test_a_look_imports_no_torch(store):
    code = (
        "import sys; from sscdl.__main__ import main\n"
        f"for a in (['ls'], ['verify'], ['prune']): main(['store', *a, {str(store.folder)!r}])\n"
        f"main(['store', 'show', {str(store.folder)!r}, 'moco'])\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdin=subprocess.DEVNULL)


def test_ls_shows_each_stage_and_the_totals(store, capsys):
    assert run("ls", store.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    moco = next(line.split() for line in lines if line.startswith("moco "))
    assert moco[:7] == ["moco", "moco", "full", "0", "0.2", "accuracy", "0.700"]
    assert moco[7] == store.object(store.moco).name
    assert moco[-2:] == [store.moco.fingerprint, "2"]
    totals = {line.split()[0]: line.split()[1] for line in lines[lines.index("") + 2 :]}
    assert totals["recipes"] == "3"
    assert totals["objects"] == "9"
    assert totals["segmenters"] == totals["packs"] == totals["phantom"] == "1"
    assert ["images", "1", "(2", "PNGs)"] in [line.split()[:4] for line in lines]


def test_ls_of_an_empty_store_and_of_a_damaged_pointer(small_store, capsys):
    (small_store.folder / "recipes" / "moco.x.json").write_text("{")
    run("ls", small_store.folder)
    out = capsys.readouterr().out
    assert "no trained node" in out
    assert "moco.x.json: the pointer of a stage is damaged" in out


def test_ls_says_which_studies_use_a_stage(store, tmp_path, capsys):
    for study in ("logged", "reported", "recorded", "other"):
        (tmp_path / "results" / study / "logs" / "pretrain").mkdir(parents=True)
    results = tmp_path / "results"
    log = results / "logged/logs/pretrain" / f"moco.{store.moco.fingerprint}.log"
    log.write_text("")
    with zipfile.ZipFile(results / "reported" / "report.zip", "w") as archive:
        archive.writestr("report/report.html", f"<a>{store.swav.fingerprint}</a>")
    (results / "other" / "report.zip").write_text("not an archive")
    records = tmp_path / ".snakemake" / "metadata"
    output = base64.urlsafe_b64encode(b"results/recorded/predictions/full.csv").decode()
    record = records / f"@{output[:10]}" / output[10:]  # as Snakemake splits long names
    write_json(record, {"input": [f"store/recipes/{store.classifier.pointer.name}"]})
    (records / "junk").write_text("{")
    run("ls", store.folder, "--results", results)
    ends = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert ends["moco"].endswith("  logged, recorded, reported")
    assert ends["moco+swav"].endswith("  recorded, reported")
    assert ends["moco+swav+classify"].endswith("  recorded")
    run("ls", store.folder, "--results", results / "other")
    assert capsys.readouterr().out.splitlines()[1].endswith("  -")


def test_results_that_are_none(store, tmp_path, capsys):
    assert run("ls", store.folder, "--results", tmp_path / "nowhere") == 2
    assert "nowhere: no results of a study" in capsys.readouterr().err


def test_show_tells_the_history_from_the_root(store, capsys):
    assert run("show", store.folder, store.classifier.fingerprint[:5]) == 0
    out = capsys.readouterr().out
    stages = [f"{n}. {one}" for n, one in enumerate(("moco", "moco+swav", "moco+swav+classify"), 1)]
    places = [out.index(f"{stage} (full, seed 0)") for stage in stages]
    assert places == sorted(places)
    assert out.index("root: scratch") < places[0]
    assert out.count("rate 0.1: accuracy 0.600 after 2 epochs, loss 0.100 (chance 1.000)\n") == 3
    assert "rate 0.2: accuracy 0.700 after 2 epochs, loss 0.200 (chance 1.000)  chosen" in out
    assert "pack aaaaaaaaaaaa" in out
    assert "source cccccccccccc, of the data bbbbbbbbbbbb" in out
    assert "torch 0" in out


def test_show_tells_the_floor_where_there_is_one(store, capsys):
    pointer = read_json(store.moco.pointer)
    for run_ in pointer["candidates"]:
        run_["history"][-1]["floor"] = 0.93
    write_json(store.moco.pointer, pointer)
    run("show", store.folder, store.moco.fingerprint)
    out = capsys.readouterr().out
    assert (
        "rate 0.1: accuracy 0.600 after 2 epochs, loss 0.100 (chance 1.000, floor 0.930)\n" in out
    )


def test_show_without_the_pointers_or_lineage_of_earlier_stages(store, capsys):
    store.moco.pointer.unlink()
    run("show", store.folder, "moco+swav")
    assert "1. moco (full), its pointer is gone" in capsys.readouterr().out
    (store.object(store.swav) / "lineage.json").unlink()
    run("show", store.folder, "moco+swav")
    assert "lineage missing or damaged" in capsys.readouterr().out


def test_names_and_prefixes(store, capsys):
    nodes, _ = read_nodes(store.folder)
    assert select(nodes, "moco").fingerprint == store.moco.fingerprint
    assert select(nodes, store.object(store.swav).name).name == "moco+swav"
    for text, problem in (("relloc", "no trained node"), ("", "no trained node")):
        assert run("show", store.folder, text) == 2
        error = capsys.readouterr().err
        assert problem in error
        assert store.swav.fingerprint in error
    second = store.train("moco", seed=1)
    assert run("show", store.folder, "moco") == 2
    error = capsys.readouterr().err
    assert "several" in error
    assert store.moco.fingerprint in error
    assert second.fingerprint in error
    assert store.swav.fingerprint not in error
    assert run("show", store.folder, second.fingerprint) == 0


def test_a_name_is_narrowed_to_a_variant_and_a_seed(store, capsys):
    """The same curriculum is trained on every variant, with every seed."""
    second = store.train("moco", seed=1)
    other = store.train("moco", rates=(0.3,))
    write_json(other.pointer, {**read_json(other.pointer), "variant": "inverted"})
    for words, node in (
        (("--variant", "inverted"), other),
        (("--seed", 1), second),
        (("--variant", "full", "--seed", 0), store.moco),
    ):
        assert run("show", store.folder, "moco", *words) == 0
        assert node.fingerprint in capsys.readouterr().out.splitlines()[0]
    assert run("show", store.folder, "moco", "--variant", "full") == 2
    error = capsys.readouterr().err
    assert "give --variant, --seed, or a fingerprint" in error
    assert other.fingerprint not in error
    assert run("show", store.folder, "moco", "--variant", "ful") == 2
    assert "--variant ful: no trained node is of it; there are: full, inverted" in (
        capsys.readouterr().err
    )
    assert run("show", store.folder, "moco", "--seed", 7) == 2
    assert "--seed 7: no trained node is of it; there are: 0, 1" in capsys.readouterr().err


def test_nothing_trained_and_no_store(small_store, tmp_path, capsys):
    assert run("show", small_store.folder, "moco") == 2
    assert "no trained node" in capsys.readouterr().err
    assert run("ls", tmp_path / "nowhere") == 2
    assert "no such folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert run("verify", tmp_path / "empty") == 2
    assert "not a store" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["stoer"])


def test_stages_that_share_an_object_are_told_apart(store):
    """Another list of rates with the same winner is another node on the same weights."""
    twin = store.train("moco", rates=(0.2,))
    assert store.object(twin) == store.object(store.moco)
    nodes, _ = read_nodes(store.folder)
    before = parents(store.folder, nodes)
    assert [one.fingerprint for one in before[store.swav.fingerprint]] == [store.moco.fingerprint]
    child = store.train("moco+swav", on=twin)  # the lineage of its object names the other parent
    nodes, _ = read_nodes(store.folder)
    before = parents(store.folder, nodes)
    assert [one.fingerprint for one in before[child.fingerprint]] == [twin.fingerprint]
    assert [one.name for one in below(select(nodes, twin.fingerprint), before, nodes)] == [
        "moco+swav"
    ]
    assert not damaged(store)


def test_sizes():
    assert [shown_size(n) for n in (5, 1500, 2e6, 3e9, 4e12)] == [
        "5 B", "1.5 kB", "2.0 MB", "3.0 GB", "4.0 TB",
    ]  # fmt: skip
