"""What a candidate learns from and is judged on: labelled rows, the dataset, what is left out of it and why.

`dataset.build` is the way in. `labelled_rows` joins replies and labels, `admission` says which may be used, `agreement`
which are believed, `shares` how many to judge on; `duplicates` and `likeness` keep like rows on one side, `classes` and
`refusals` look at labels, `rehearsal` chooses old rows, `manifest` records what a version met, `erasure` takes a
person's rows out of that.

Pure but for `labelled_rows`, which reads the lake, `admission`, and what writes: `manifest`, `erasure`. It imports no
other wing; `training`, `evaluation` and the job import it.
"""
