"""Models and what they learn from, as an operator asks for them.

`versions` and `first_adapter` check files before anything is written; `datasets` and `synthetic` make and show what is
learned from, `compare` says which base or recipe is the smallest that does, `cards` shows a version's model card. Used
by `deploy.commands.models`; the work itself is in `retrain`.
"""
