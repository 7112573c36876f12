"""How good an answer is: a metric by name, a JSON schema, a rubric that a judge model reads, or a Python function.

`settings` says which one an alias has. `scorer.Scorer` is the way in: it takes rows of request, answer and truth, and
returns a loss in [0, 1] for each, or none where nothing can be known; what is not judged is counted by its reason, and
never taken for wrong. The gateway uses `settings` alone, and what is quick. Each module imports its library where it
first needs it: `rouge-score` alone takes two seconds.
"""
