"""The commands of `homeostat`, a module for each group: click and nothing else.

`deploy.cli` puts them together; each imports its work inside its function, so that help is instant.
"""
