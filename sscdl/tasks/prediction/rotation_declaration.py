"""Rotation prediction, as it is declared."""

from __future__ import annotations

from sscdl.tasks.declaration import CROPPED, FLIP, Declaration, shares

DECLARATION = Declaration(
    title="Rotation prediction",
    paper="Gidaris et al. 2018",
    about="tell by how many quarter turns an image was rotated",
    settings={"batch_size": 16},
    options={"crop": shares([0.2, 1.0], CROPPED, other=[0.5, 0.9]), "flip": FLIP},
    trained_bytes=lambda size, options: size.linear(size.width, 4),
    learnt_by="chance",
)
