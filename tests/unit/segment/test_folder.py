"""The command that makes masks for a folder of images, and how it reads them."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sscdl.__main__ import main as command
from sscdl.dicom.radiograph import ImageError
from sscdl.segment.command import main
from sscdl.segment.folder import find_images
from sscdl.segment.networks.checkpoint import Architecture, save_checkpoint
from sscdl.segment.predict import load_segmenter
from sscdl.segment.processing.reading import read_values
from tests.unit.dicom_files import write_dicom


def noise(shape: tuple[int, ...], top: int = 256, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, top, shape).astype(kind)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a small random segmenter that calls about half of an image lung."""
    return write_model(tmp_path / "model.safetensors", unet=False)


def write_model(path: Path, *, unet: bool) -> Path:
    torch.manual_seed(0)
    shape = Architecture(4, 4, 128, 128, unet=unet, per_image=True, border=6)
    network = shape.build()
    with torch.no_grad():
        network.dec12.bias -= network(torch.rand(1, 1, 128, 128))[0].mean()
    save_checkpoint(path, network, shape, "whole lungs")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with PNG, JPEG and DICOM files, others, and one that is broken."""
    root = tmp_path / "images"
    (root / "deeper").mkdir(parents=True)
    gray = noise((60, 50))
    Image.fromarray(gray).save(root / "a.png")
    Image.fromarray(noise((40, 70, 3))).save(root / "b.JPG", quality=95)
    write_dicom(root / "c.dcm", noise((30, 40), 4096, np.uint16), BitsStored=12, HighBit=11)
    Image.fromarray(gray).save(root / "a_mask.png")
    Image.fromarray(gray).save(root / "Label_b.png")
    Image.fromarray(gray).save(root / "deeper/d.png")
    (root / "readme.txt").write_text("no image")
    (root / "broken.png").write_bytes((root / "a.png").read_bytes()[:300])
    return root


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "masks.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_of_masks_and_labels_are_passed_over(folder: Path) -> None:
    files = ["a.png", "b.JPG", "broken.png", "c.dcm", "deeper/d.png"]
    assert find_images(folder) == (files, [])
    assert find_images(folder, folder / "deeper") == (files[:-1], [])
    assert find_images(folder / "a_mask.png") == (["a_mask.png"], [])


def test_images_are_known_by_their_contents_whatever_the_name(
    folder: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "broken.png").unlink()
    (folder / "c.dcm").rename(folder / "c.IMA")
    Image.fromarray(noise((20, 30))).save(folder / "deeper/e.tif")
    Image.fromarray(noise((20, 30))).save(folder / "f", format="PNG")
    arguments = [str(folder), str(folder / "out"), "--model", str(model)]
    with caplog.at_level("INFO", logger="sscdl"):
        assert main(arguments) == 0
    assert "1 file that holds text passed over, such as readme.txt" in caplog.text
    assert "2 files with mask or label in the name passed over" in caplog.text
    files = ["a.png", "b.JPG", "c.IMA", "deeper/d.png", "deeper/e.tif", "f"]
    assert [(row["file"], row["error"]) for row in rows_of(folder / "out")] == [
        (file, "") for file in files
    ]
    assert (folder / "out/deeper_e_post.png").is_file()
    (folder / "g.dcm.gz").write_bytes(b"\x1f\x8b\x08\x00 and so on")
    assert main(arguments) == 1
    found = {row["file"]: row["error"] for row in rows_of(folder / "out")}
    assert list(found) == [*files, "g.dcm.gz"]
    assert found["g.dcm.gz"] == "compressed (gzip), which is not read; unpack it"
    assert main([str(folder / "g.dcm.gz"), str(tmp_path / "one"), "--model", str(model)]) == 1


def test_masks_and_table_of_a_folder_with_a_broken_file(
    folder: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    with caplog.at_level("INFO", logger="sscdl"):
        assert main([str(folder), str(out), "--model", str(model), "--batch-size", "3"]) == 1
    rows = rows_of(out)
    files = ["a.png", "b.JPG", "broken.png", "c.dcm", "deeper/d.png"]
    assert [row["file"] for row in rows] == files
    assert "decoded" in rows[2]["error"]
    assert rows[2]["area"] == rows[2]["faults"] == ""
    rows = rows[:4]
    names = {"a": (60, 50), "b": (40, 70), "c": (30, 40)}
    pictures = {f"{name}_{kind}.png" for name in names for kind in ("mask", "post")}
    pictures |= {"deeper_d_mask.png", "deeper_d_post.png"}
    assert {path.name for path in out.iterdir()} == pictures | {"masks.csv"}
    for row in rows[:2] + rows[3:]:
        name = row["file"][0]
        raw, post = (np.asarray(Image.open(out / f"{name}_{k}.png")) for k in ("mask", "post"))
        assert raw.shape == post.shape == names[name]
        assert (int(row["height"]), int(row["width"])) == names[name]
        assert set(np.unique(raw)) | set(np.unique(post)) <= {0, 255}
        assert float(row["area"]) == pytest.approx((post > 0).mean(), abs=1e-4)
        assert row["empty"] == ("no" if post.any() else "yes")
        assert row["error"] == ""
    assert rows[0]["faults"]
    (expected,) = load_segmenter(model).predict([np.asarray(Image.open(folder / "a.png"))])
    assert ((np.asarray(Image.open(out / "a_mask.png")) > 0) != expected[0]).mean() < 1e-3
    assert "5 of 5 images" in caplog.text
    assert "broken.png: no mask" in caplog.text


def test_one_file_repeats_bit_for_bit_and_succeeds(
    folder: Path, model: Path, tmp_path: Path
) -> None:
    for out in ("one", "two"):
        arguments = [str(folder / "a.png"), str(tmp_path / out), "--model", str(model)]
        assert main([*arguments, "--samples", "3"]) == 0
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_samples_add_a_map_of_uncertainty(folder: Path, model: Path, tmp_path: Path) -> None:
    arguments = [str(folder / "a.png"), str(tmp_path / "out"), "--model", str(model)]
    assert main([*arguments, "--samples", "4", "--seed", "5"]) == 0
    image = np.asarray(Image.open(folder / "a.png"))
    (expected,) = load_segmenter(model).predict_samples([image], 4, seed=5)
    gray = np.asarray(Image.open(tmp_path / "out/a_uncertainty.png"))
    assert gray.dtype == np.uint8
    np.testing.assert_allclose(gray / 510.0, expected.uncertainty, atol=1e-3)
    (row,) = rows_of(tmp_path / "out")
    assert float(row["uncertainty"]) == pytest.approx(expected.uncertainty.mean(), abs=1e-4)


def test_equalisation_can_be_left_out(folder: Path, model: Path, tmp_path: Path) -> None:
    dark = (noise((60, 50)).astype(float) ** 3 / 255**2).astype(np.uint8)
    Image.fromarray(dark).save(folder / "a.png")
    for out, more in (("with", []), ("without", ["--no-equalise"])):
        arguments = [str(folder / "a.png"), str(tmp_path / out), "--model", str(model), *more]
        assert main(arguments) == 0
        ((raw, _),) = load_segmenter(model).predict([dark], equalise=not more)
        assert np.array_equal(np.asarray(Image.open(tmp_path / out / "a_mask.png")) > 0, raw)
    masks = [(tmp_path / out / "a_mask.png").read_bytes() for out in ("with", "without")]
    assert masks[0] != masks[1]


def test_files_that_would_share_a_mask_are_refused(
    folder: Path, model: Path, tmp_path: Path
) -> None:
    (folder / "broken.png").unlink()
    Image.fromarray(noise((60, 50))).save(folder / "a.jpg")
    assert main([str(folder), str(tmp_path / "out"), "--model", str(model)]) == 1
    failed = {row["file"] for row in rows_of(tmp_path / "out") if "rename" in row["error"]}
    assert failed == {"a.png", "a.jpg"}


def test_what_cannot_be_done_is_said_in_one_line(
    folder: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    unet = write_model(tmp_path / "unet.safetensors", unet=True)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").write_text("")
    for arguments, message in (
        ([str(tmp_path / "missing"), out, "--model", str(model)], "no such file or folder"),
        ([str(tmp_path / "nothing"), out, "--model", str(model)], "no image"),
        ([str(folder), str(folder), "--model", str(model)], "give another folder"),
        ([str(folder), str(tmp_path / "file"), "--model", str(model)], "is a file"),
        ([str(folder), out, "--model", str(tmp_path / "missing.pt")], "does not exist"),
        ([str(folder), out, "--model", str(unet), "--samples", "2"], "nothing to sample"),
    ):
        assert command(["segment", *arguments]) == 2
        assert message in capsys.readouterr().err
    for bad in (["--samples", "-1"], ["--batch-size", "0"], ["--seed", "-3"]):
        with pytest.raises(SystemExit):
            main([str(folder), out, "--model", str(model), *bad])


def test_stored_values_of_pictures_are_read_as_they_are(tmp_path: Path) -> None:
    deep, gray, colour = noise((9, 8), 60000, np.uint16), noise((9, 8)), noise((9, 8, 4))
    cases = {"deep": deep, "gray": gray, "colour": colour[..., :3], "alpha": colour}
    cases["both"] = np.stack([gray, noise((9, 8))[::-1]], axis=2)
    expected = {**cases, "alpha": colour[..., :3], "both": gray}
    for name, values in cases.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(values).save(path)
        found = read_values(path)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, expected[name])
    Image.fromarray(gray).convert("P").save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_values(tmp_path / "palette.png"), gray)


def test_colours_of_16_bits_keep_them(tmp_path: Path) -> None:
    import cv2

    values = noise((9, 8, 4), 65536, np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), values)
    np.testing.assert_array_equal(read_values(tmp_path / "deep.png"), values[..., 2::-1])


def test_stored_values_of_dicom_files(tmp_path: Path) -> None:
    stored = noise((9, 8), 4096, np.uint16)
    header = {"BitsStored": 12, "HighBit": 11, "WindowCenter": 100, "WindowWidth": 50}
    path = tmp_path / "x.dcm"
    write_dicom(path, stored, **header)
    np.testing.assert_array_equal(read_values(path), stored)
    write_dicom(path, stored, **header, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read_values(path), 1.0 - stored / stored.max())
    signed = stored.astype(np.int16) - 2000
    write_dicom(path, signed, BitsStored=16, HighBit=15, PixelRepresentation=1)
    values = read_values(path).astype(int)
    assert values.min() >= 0
    np.testing.assert_array_equal(values - values[0, 0], signed.astype(int) - signed[0, 0])
    positive = stored.astype(np.int16)
    write_dicom(path, positive, BitsStored=16, HighBit=15, PixelRepresentation=1)
    np.testing.assert_array_equal(read_values(path), stored)
    padded = stored.copy()
    padded[0] = 65535
    write_dicom(path, padded, BitsStored=16, HighBit=15, PixelPaddingValue=65535)
    found = read_values(path)
    assert not found[0].any()
    assert found[1:].max() == 65535


def test_files_that_show_nothing_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((9, 8), 7, np.uint8)).save(tmp_path / "flat.png")
    with pytest.raises(ImageError, match="contrast"):
        read_values(tmp_path / "flat.png")


def test_help_needs_no_torch() -> None:
    import subprocess

    code = (
        "import sys\nfrom sscdl.segment.command import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().endswith("False")
    assert "--no-equalise" in answer.stdout
