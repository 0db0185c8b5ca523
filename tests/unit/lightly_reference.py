"""lightly's losses and LARS, as independent implementations to compare with."""

from __future__ import annotations

import importlib

# lightly imports torchvision, which may need help to load: hence this order, kept by importlib.
importlib.import_module("sscdl._torchvision")
BarlowTwinsLoss = importlib.import_module("lightly.loss").BarlowTwinsLoss
DINOLoss = importlib.import_module("lightly.loss").DINOLoss
NegativeCosineSimilarity = importlib.import_module("lightly.loss").NegativeCosineSimilarity
NTXentLoss = importlib.import_module("lightly.loss").NTXentLoss
VICRegLoss = importlib.import_module("lightly.loss").VICRegLoss
SwaVLoss = importlib.import_module("lightly.loss").SwaVLoss
LARS = importlib.import_module("lightly.utils.lars").LARS
