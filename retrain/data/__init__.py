"""What a candidate learns from and is judged on: labelled rows, the dataset, what is left out of it and why.

`dataset.build` is the way in. `labelled_rows` joins replies and labels, `shares` says how many rows to judge on,
`duplicates` and `likeness` keep like rows on one side, `classes` and `refusals` look at the labels, `manifest` records
what a version was trained and judged on, `erasure` takes a person's rows out of that.

Pure but for `labelled_rows`, which reads the lake, `manifest` and `erasure`, which write. It imports no other wing;
`training`, `evaluation` and the job import it.
"""
