"""People who review replies: what is worth their look, what they answer, and how far they can be relied on.

`desk` is the way in: it lists, shows and takes. `queue` finds replies and why each is there, `answers` makes feedback
of an answer, `comparisons` takes preferences between two answers, `overlap` has what several people labelled (their
agreement, and spot checks of each), `exchange` has the forms of other tools. Used by `deploy.commands.review` and the
gateway's admin port.
"""
