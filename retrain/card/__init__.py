"""The model card of a version: what it was trained on, how good it is and for whom, and what is not known.

`measures` has the figures of an evaluation, `findings` is what the evaluation leaves of it. `card` puts all
together, `wording` says it for people, `pages` writes it as JSON, as Hugging Face's README.md and as a page, and puts
these into the store. Only the job's steps and `deploy` import it.
"""
