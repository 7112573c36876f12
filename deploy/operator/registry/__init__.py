"""Versions as operators ask after them.

`lineage` goes from a reply or a version to where it comes from, `asking` asks for a retraining or brings an adapter
made elsewhere, `effort` counts what people had to do. Used by `deploy.commands.models.registry` and
`deploy.commands.stack`.
"""
