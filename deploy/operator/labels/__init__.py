"""Labels, as an operator sees them.

`wanted` is the way in: it lists the replies that want a label, and takes a file of given ones. `draws` picks replies by
chance, `open_groups` those of groups that a verdict does not tell about; `agreement` says how well a judge model agrees
with people. Used by `deploy.commands.labels`.
"""
