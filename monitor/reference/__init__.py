"""What is normal: the frozen reference, its sample, its seasonality, and how its events depend on each other.

`frozen.Reference` is the way in: made once from a version's first healthy events, it never changes. `sample` gathers
them, `dependence`, `lumps`, `seasonality` and `swings` say what in them a test must not take for a change, `derived`
keeps what is worked out from it; `limits` bounds the mean loss that its labels show.

It imports `describe` and `detectors`. `explain`, `signals`, `watch`, and the judge of `streams` import it.
"""
