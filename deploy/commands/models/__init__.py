"""Commands about versions of a model, a module for each group: click and nothing else.

`adapters` trains, promotes, rolls back, pauses; `gate` judges files of evaluation harnesses; `compare` says which
recipe or base is the smallest that does; `data` builds and shows what they learn from. `deploy.cli` puts them
together, and nothing else imports them. The work itself is in `deploy/operator`, `deploy/gate` and `retrain`.
"""
