"""Self-supervised curricular deep learning (SSCDL) for chest radiographs.

The package is what the Snakemake workflow calls and can be used without it: it never imports
snakemake and never reads the configuration file.
"""

__version__ = "0.2.0"
