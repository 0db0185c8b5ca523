"""The tables of the thesis, beside the figures that it prints."""
