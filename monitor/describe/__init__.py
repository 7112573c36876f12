"""A reply in numbers: length, language, refusals, personal data, toxicity, the operator's patterns, fingerprint.

The way in is `descriptors.describe`. Imports nothing of the other wings.
"""
