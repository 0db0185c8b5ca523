"""Predictions of a classifier, on its own pictures and on those of other variants."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from sscdl.errors import InputError
from sscdl.evaluation import predict as predict_module
from sscdl.evaluation.attention import class_activation_map, of_class
from sscdl.evaluation.attention_scores import lung_scores
from sscdl.evaluation.classifier import Classifier
from sscdl.evaluation.predict import Pictures, predict, predict_shown
from sscdl.files import write_json
from sscdl.images.rows import select_rows
from sscdl.images.vouched import describe_list
from sscdl.recipe import file_hash
from sscdl.training.augment import center_resize
from sscdl.training.backbones import build_backbone
from tests.unit import records
from tests.unit.damages import damages

SIZE = 40
CLASSES = ["negative", "typical", "atypical"]
DATA = {
    "train": "train", "validate": "test", "normalise": "train", "masked": False, "classes": CLASSES,
}  # fmt: skip
NAMED = {"variant": "full", "curriculum": "moco", "seed": 3, "device": "cpu", "threads": 1}


class Study:
    """A folder with pictures of two variants, their list, and a classifier that has random weights.

    Every third image trained the classifier; the others are to be predicted.
    """

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(7)
        self.folder, self.images = folder, folder / "images.csv"
        self.ids = [f"i{row:02}" for row in range(12)]
        full = rng.integers(0, 255, (12, 10, 10)).astype(np.uint8)
        full = np.stack([cv2.resize(image, (SIZE, SIZE)) for image in full])
        self.lungs = np.zeros(full.shape, bool)
        self.lungs[:, 8:30, 6:16] = self.lungs[:, 8:30, 24:34] = True
        self.arrays = {"full": full, "black": np.where(self.lungs, full, 0)}
        for name, array in {**self.arrays, "lungs": 255 * self.lungs}.items():
            self.pack(name, array.astype(np.uint8))
        frame = pd.DataFrame(
            {
                "image_id": self.ids,
                "patient_id": [f"{row:03}" for row in range(12)],
                "label": [CLASSES[row // 3 % 3] for row in range(12)],
                "split": ["train", "test", "val"] * 4,
                "cohort": "main",
                "mask": ["", "", *["x"] * 10],
                "view": ["AP", "", "PA"] * 4,
                "sex": ["F", "M", ""] * 4,
                "age": ["61", "070", ""] * 4,
                "boxes": ["[]", "[[0.1, 0.2, 0.5, 0.9]]", "[]"] * 4,
                "mark": "",
            }
        )
        self.write_list(frame)
        self.frame = frame[(frame["split"] != "train") & (frame["mask"] == "x")]
        self.rows = self.frame.index.tolist()
        self.pointer = self.classifier()

    def write_list(self, frame: pd.DataFrame) -> None:
        frame.to_csv(self.images, index=False)
        describe_list(self.images, split={}, source="")

    def pack(self, name: str, array: np.ndarray, crops: list | None = None) -> None:
        np.save(self.folder / f"{name}.npy", array)
        digest = hashlib.sha256(array.tobytes()).hexdigest()
        described = {"variant": name, "ids": self.ids, "crops": crops, "sha256": digest}
        described |= {"size": SIZE, "sums": [], "squares": []}
        write_json(self.folder / f"{name}.json", described)

    def classifier(self, key: str = "f", **more) -> Path:
        """Write a classifier that was "trained" on the full images and return its pointer.

        ``more`` stands in its data recipe.
        """
        store, wanted = self.folder / "store", DATA | more
        torch.manual_seed(11)
        backbone = build_backbone("resnet18", 2)
        for layer in backbone.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 2)
        weight = torch.randn(3, backbone.channels)
        x = (center_resize(torch.from_numpy(self.arrays["full"])[:, None], 32) - 0.4) / 0.2
        with torch.no_grad():
            features = backbone.eval().features(x.expand(-1, 3, -1, -1)).mean(dim=(2, 3))
        # Images differ little: with their mean taken away, each class is some image's.
        bias = -features.mean(dim=0) @ weight.T
        weights = backbone.state_dict() | {"fc.weight": weight, "fc.bias": bias}
        file = store / "objects" / key / "weights.safetensors"
        file.parent.mkdir(parents=True)
        save_file({name: tensor.detach().contiguous() for name, tensor in weights.items()}, file)
        described = json.loads((self.folder / "full.json").read_text())
        rows = select_rows(self.images, described, wanted).digest
        backbone = {"name": "resnet18", "last_stage": 2}
        recipe = {"data": wanted, "backbone": backbone, "seed": 3}
        data = {"mean": 0.4, "std": 0.2, "rows": rows}
        about = records.lineage(recipe=recipe, data=data, object=key)
        write_json(file.parent / "lineage.json", about)
        kept = {"sha256": file_hash(file), "bytes": file.stat().st_size}
        pointer = store / "recipes" / f"moco+classify.{'f' if key == 'key' else key}.json"
        final = records.run(key=key, weights=kept)
        write_json(
            pointer,
            records.pointer(
                node="moco+classify",
                object=key,
                final=final,
                fingerprint=key,
            ),
        )
        return pointer

    def pictures(self, name: str) -> Pictures:
        return Pictures(self.folder / f"{name}.json", self.folder / "lungs.json")

    def predict(self) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        out, maps = self.folder / "predictions.csv", self.folder / "maps.npz"
        predict(self.pointer, *self.pictures("full"), self.images, out, maps, **NAMED)
        with np.load(maps) as stored:
            return pd.read_csv(out, dtype=str, keep_default_na=False), dict(stored)

    def show(self, *names: str, pack: str = "full") -> pd.DataFrame:
        out, shown = self.folder / "shown.csv", {name: self.pictures(name) for name in names}
        own = self.folder / f"{pack}.json"
        predict_shown(self.pointer, own, self.images, out, shown, **NAMED)
        return pd.read_csv(out, dtype=str, keep_default_na=False)


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_lines_say_who_was_predicted_and_what_is_known_of_them(study):
    lines, stored = study.predict()
    assert lines["image_id"].tolist() == stored["ids"].tolist() == study.frame["image_id"].tolist()
    for name in ("label", "split", "patient_id", "view", "sex", "age"):
        assert lines[name].tolist() == study.frame[name].tolist()
    assert lines.columns[:7].tolist() == [
        "variant", "curriculum", "seed", "image_id", "patient_id", "split", "label"
    ]  # fmt: skip
    after = lines.columns[lines.columns.get_loc("view") :].tolist()
    assert after == [
        "view", "sex", "age", "ail", "ail_contrast", "lung_share", "mark_attention",
        "mark_share", "box_attention", "box_share", "box_hit", "ail_signed",
        "ail_stretched", "ail_centre",
        *(f"ail_of_{name}" for name in CLASSES),
    ]  # fmt: skip
    boxed = lines["box_share"] != ""
    assert boxed.tolist() == (study.frame["boxes"] != "[]").tolist()
    assert (boxed == (lines["box_hit"] != "")).all()


def test_maps_of_all_classes_explain_the_probabilities_and_the_shares(study):
    lines, stored = study.predict()
    number = lines[["ail", *(f"ail_of_{name}" for name in CLASSES)]].astype(float)
    assert stored["maps"].dtype == np.float32
    assert stored["class_maps"].dtype == np.float16
    assert stored["class_maps"].shape == (len(lines), 3, *stored["maps"].shape[1:])
    bias = Classifier(study.pointer, torch.device("cpu")).bias.numpy()
    logits = stored["class_maps"].astype(float).mean(axis=(2, 3)) + bias
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    columns = [f"prob_{name}" for name in CLASSES]
    np.testing.assert_allclose(lines[columns].astype(float), chances, atol=2e-3)
    assert lines["predicted"].nunique() > 1
    for row, line in lines.iterrows():
        chosen = CLASSES.index(line["predicted"])
        np.testing.assert_allclose(
            stored["class_maps"][row, chosen], stored["maps"][row], rtol=2e-3
        )
        assert number[f"ail_of_{line['predicted']}"][row] == number["ail"][row]
        inside = study.lungs[study.rows[row]]
        for place, name in enumerate(CLASSES):
            cam = stored["class_maps"][row, place].astype(np.float32)
            large = np.clip(cv2.resize(cam, (SIZE, SIZE)), 0, None)
            found = number[f"ail_of_{name}"][row]
            if large.sum() > 0:
                assert found == pytest.approx(large[inside].sum() / large.sum(), abs=2e-3)


def test_the_map_of_the_predicted_class_is_what_it_was_alone(study):
    model = Classifier(study.pointer, torch.device("cpu"))
    images = torch.from_numpy(study.arrays["full"])
    chances, maps = model.explain(images)
    x = ((center_resize(images[:, None], 32) - 0.4) / 0.2).expand(-1, 3, -1, -1)
    with torch.no_grad():
        features = model.backbone.features(x.contiguous(memory_format=torch.channels_last))
    alone = class_activation_map(features, model.weight[chances.argmax(dim=1)])
    assert torch.equal(of_class(maps, chances.argmax(dim=1)), alone)
    assert torch.equal(model(images)[1], alone)


def test_what_softmax_cannot_see_changes_zhous_map_and_not_the_contrast(study):
    model = Classifier(study.pointer, torch.device("cpu"))
    images = torch.from_numpy(study.arrays["full"])
    lungs = torch.from_numpy(study.lungs)
    generator = torch.Generator().manual_seed(1)

    def looked() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        chances, maps = model.explain(images)
        return chances, lung_scores(maps, chances.argmax(dim=1), lungs)

    chances, before = looked()
    weight = model.weight
    for _ in range(5):
        model.weight = weight + 3 * torch.randn(weight.shape[1], generator=generator)
        again, after = looked()
        torch.testing.assert_close(again, chances, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(
            after["ail_contrast"], before["ail_contrast"], rtol=1e-3, atol=1e-4
        )
        assert (after["ail"] - before["ail"]).abs().nan_to_num(1).max() > 0.05


def test_every_damage_of_what_a_prediction_reads_is_named(study):
    folder = study.pointer.parents[1]
    lineage = folder / "objects" / "f" / "lineage.json"
    lists = [study.folder / f"{name}.json" for name in ("full", "lungs", "images")]
    for path in (study.pointer, lineage, *lists):
        for how, surely in damages(path):
            try:
                study.predict()
            except InputError as error:
                said = str(error)
            else:
                said = "" if surely else str(path)
            assert str(path) in said, (path, how, said)


def test_other_variants_are_seen_with_the_normalisation_of_the_training(study):
    lines = study.show("black", "full")
    assert lines["shown"].tolist() == ["black"] * len(study.rows) + ["full"] * len(study.rows)
    assert (lines["variant"] == "full").all()
    own, _ = study.predict()
    again = lines[lines["shown"] == "full"].drop(columns="shown").reset_index(drop=True)
    pd.testing.assert_frame_equal(again, own)
    black = lines[lines["shown"] == "black"]
    model = Classifier(study.pointer, torch.device("cpu"))
    chances, _ = model(torch.from_numpy(study.arrays["black"][study.rows]))
    found = black[[f"prob_{name}" for name in CLASSES]].astype(float).to_numpy()
    np.testing.assert_allclose(found, chances.numpy(), atol=1e-5)
    assert not np.allclose(found, own[[f"prob_{name}" for name in CLASSES]].astype(float))


def test_a_gpu_is_lent_while_a_network_computes(study, lends, monkeypatch):
    held = lends(predict_module)
    monkeypatch.setitem(NAMED, "device", "cuda")
    study.predict()
    study.show("black")
    assert held == [("cuda", 1), "given back"] * 2


def test_boxes_are_those_of_the_part_that_a_picture_shows(study):
    whole = study.show("full")
    crops = [(0, 0, 0.5, 1)] * 12
    study.pack("half", study.arrays["full"], crops)
    study.pack("lungs", 255 * study.lungs.astype(np.uint8), crops)
    lines = pd.concat([whole, study.show("half")])
    share = lines["box_share"].where(lines["box_share"] != "", "nan").astype(float)
    whole, half = (share[lines["shown"] == name] for name in ("full", "half"))
    assert whole.dropna().unique() == pytest.approx([0.4 * 0.7])
    assert half.dropna().unique() == pytest.approx([0.8 * 0.7])


def test_images_that_may_have_been_trained_on_are_not_predicted(study):
    # The proof is that of the variant trained on, whatever is shown.
    with pytest.raises(InputError, match=r"moco\+classify.f.json: was trained with"):
        study.show("black", pack="black")
    frame = pd.read_csv(study.images, dtype=str, keep_default_na=False)
    frame.loc[0, "split"] = "test"
    study.write_list(frame)
    for ask in (study.predict, lambda: study.show("black")):
        with pytest.raises(InputError, match="test images may be among those"):
            ask()
