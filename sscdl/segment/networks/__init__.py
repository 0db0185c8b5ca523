"""The networks that find lungs, and the files that hold their weights."""
