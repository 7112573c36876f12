"""What only this adapter's weights answer, worked out after its training.

`proof.write_proof` chooses beginnings of texts after which candidate, predecessor and base differ most, and writes
their answers next to the adapter; `serving_model` loads the base model as engines calculate with it. The training's
backends are the only callers; replicas read what is written by `streams.proof`.
"""
