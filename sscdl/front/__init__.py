"""The first steps of somebody who has images: a study file is written, a study is run."""
