"""Rows that no person sent: written by a language model from real, anonymised ones, or made by other tools.

`plan` says which rows are wanted, `prompts` what a model is asked and what its answer is, `generator` asks it,
`checks` refuse rows (with `language` and `nearness`), `synthesis` goes on until there are enough; `exports` reads other
tools' files; `sets` keeps rows, `blending` adds them to a dataset within their share, `fidelity` compares them with
real ones. Rows to judge on are always real: `retrain.data.dataset.Dataset` refuses others.

Pure but for `generator`, `exports` and `sets`. It imports `data`; the job and `deploy` import it.
"""
