"""Which base or recipe is the smallest that does? Several are trained and gated on one dataset.

`candidates` says what is compared, `contest` trains and asks each, `decision` (pure) chooses. It uses the training
contract, the evaluation and the gate of retrainings; `deploy.operator.compare` is its only caller.
"""
