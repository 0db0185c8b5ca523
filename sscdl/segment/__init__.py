"""Lung masks: taken over where they are given, predicted by a segmenter where not."""
