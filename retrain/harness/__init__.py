"""Files of evaluation harnesses as pairs of scores, and the gate's verdict on them: no log, no engine, no adapter.

`verdict.judged` is the way in. `formats` recognises what wrote a file by its content, `inspect_log` reads Inspect's,
`samples` takes id, score and groups from the rows, `pairing` matches two files row by row.

It imports the pure modules of `retrain.evaluation`, such as its `checks`; only the command line imports it.
"""
