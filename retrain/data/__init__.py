"""What a candidate learns from and is judged on: labelled rows, the dataset, what is left out of it and why.

Pure but for `labelled_rows`, which reads the lake, and `manifest`, which writes the dataset. Never imports `training`.
"""
