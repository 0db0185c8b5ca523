"""Files of weights that somebody gives: what they are is said, whatever their names say."""

from __future__ import annotations

import argparse
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sscdl.errors import InputError
from sscdl.segment.command import main as segment
from sscdl.segment.networks.default import PATH
from sscdl.study.root_names import identities
from sscdl.weight_files import SAFETENSORS, TORCH, check_weights, read_tensors, weights_format
from tests.conftest import ROOT

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0815\nsize 100\n"


def saved(path: Path, content: object, **settings: bool) -> Path:
    torch.save(content, path, **settings)
    return path


@pytest.mark.parametrize("name", ["w.pt", "w.pth.tar", "w.safetensors", "w"])
@pytest.mark.parametrize("zipped", [True, False])
def test_torch_is_read_whatever_the_name(tmp_path: Path, name: str, zipped: bool) -> None:
    path = saved(tmp_path / name, WEIGHTS, _use_new_zipfile_serialization=zipped)
    assert weights_format(path) == TORCH
    found = read_tensors(path)
    assert found.keys() == WEIGHTS.keys()
    assert all(torch.equal(found[key], WEIGHTS[key]) for key in found)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.bin"])
def test_safetensors_are_read_whatever_the_name(tmp_path: Path, name: str) -> None:
    save_file(WEIGHTS, tmp_path / name)
    assert weights_format(tmp_path / name) == SAFETENSORS
    assert torch.equal(read_tensors(tmp_path / name)["a.weight"], WEIGHTS["a.weight"])


def test_nested_names_are_joined(tmp_path: Path) -> None:
    content = {"epoch": 3, "net": WEIGHTS, "optimizer": {"state": {0: {"m": torch.ones(1)}}}}
    found = read_tensors(saved(tmp_path / "w.pt", content))
    assert list(found) == ["net.a.weight", "net.a.bias"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"is an empty file \(0 bytes\)"),
        (LFS, "is a pointer of Git LFS .*git lfs pull"),
        (b"\n<!DOCTYPE html><html>", r"is a web page \(HTML\)"),
        (b"\xef\xbb\xbf<HTML>", r"is a web page \(HTML\)"),
        (b"\x1f\x8b" + bytes(50), r"is compressed \(gzip\); unpack it"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), r"is a picture \(PNG\)"),
        (b"some text", "is neither a safetensors file nor one of torch"),
        (b"PK\x03\x04" + bytes(500), "is cut off: a zip archive"),
    ],
)
@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_what_is_no_file_of_weights_is_named(
    tmp_path: Path, content: bytes, told: str, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (
        weights_format,
        read_tensors,
        check_weights,
        lambda file: identities({"mine": {"file": str(file)}}, "resnet18", str),
        lambda file: segment([str(tmp_path), str(tmp_path / "out"), "--model", str(file)]),
    ):
        with pytest.raises(InputError, match=rf"weights: .*{name} {told}"):
            read(path)


def test_zip_archives_of_others_are_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "program.pt", "w") as archive:
        archive.writestr("program/data.pkl", "x")
        archive.writestr("program/constants.pkl", "x")
    with pytest.raises(InputError, match=r"is a program \(TorchScript\); save its weights alone"):
        weights_format(tmp_path / "program.pt")
    with zipfile.ZipFile(tmp_path / "other.pt", "w") as archive:
        archive.writestr("model.ckpt", "x")
    with pytest.raises(InputError, match="a zip archive that torch has not written; unpack it"):
        weights_format(tmp_path / "other.pt")


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_tensors(path)
    return str(caught.value)


def test_objects_are_named_and_nobody_is_told_to_run_them(tmp_path: Path) -> None:
    told = refusal(saved(tmp_path / "a.pt", {"args": argparse.Namespace(), "w": torch.ones(1)}))
    assert "holds objects (argparse.Namespace) besides tensors" in told
    model = refusal(saved(tmp_path / "m.pt", torch.nn.Linear(2, 2)))
    assert "torch.nn.modules.linear.Linear" in model
    assert all("weights_only" not in text and "\033" not in text for text in (told, model))


def test_damage_is_told_from_what_is_another_file(tmp_path: Path) -> None:
    whole = saved(tmp_path / "w.pt", WEIGHTS, _use_new_zipfile_serialization=False).read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[:-9])
    assert "is a file of torch that is cut off or damaged" in refusal(tmp_path / "cut.pt")
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "w.safetensors").read_bytes()[:-9])
    assert "is a safetensors file that is cut off or damaged" in refusal(tmp_path / "cut.pt")
    assert "holds no named tensors" in refusal(saved(tmp_path / "e.pt", {"epoch": 3}))
    with pytest.raises(InputError, match="gone.pt does not exist"):
        weights_format(tmp_path / "gone.pt")


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    wrong = {**WEIGHTS, "a.bias": torch.tensor([1.0, float("nan")]), "n": torch.tensor(3)}
    for path in (saved(tmp_path / "w.pt", wrong), tmp_path / "w.safetensors"):
        if path.suffix == ".safetensors":
            save_file(wrong, path)
        with pytest.raises(InputError, match=r"damaged: 1 of 2 numbers of a.bias are NaN or inf"):
            check_weights(path)
    check_weights(PATH)


def test_a_name_that_the_reader_of_segmenters_goes_by_must_be_right(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(PATH.read_bytes())
    with pytest.raises(InputError, match=r"a file of safetensors, .* rename it to w.safetensors"):
        check_weights(tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"a file of torch, .* rename it to t.pt"):
        check_weights(saved(tmp_path / "t.safetensors", WEIGHTS))


def test_torch_is_not_needed_to_know_the_kind() -> None:
    code = "import sys, sscdl.weight_files; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
