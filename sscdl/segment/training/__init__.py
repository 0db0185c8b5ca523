"""Training segmenters on pairs of radiograph and mask, and measuring how good they are."""
