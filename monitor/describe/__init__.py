"""A reply in numbers: length, language, refusals, personal data, toxicity, the operator's patterns, fingerprint.

`descriptors.describe` is the way in; `descriptors.NAMES` are the columns. `pii`, `toxicity`, `patterns` and `words`
read texts, `fingerprint` and `traits` give what the tests of texts and categories take, `people` says who asked,
`groups` bounds the groups of a tag.

It imports no other wing. Every other one but `detectors` may import it; so may other rooms, whose texts it describes.
"""
