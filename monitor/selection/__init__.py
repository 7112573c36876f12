"""Who chose which replies have a label? A verdict rests only on labels whose choice did not depend on the answer.

`sources` says what the operator declared of a label's source, and what its labels may do; `audit` chooses replies
before anything is known of the answer; `weights` draws those that are worth most and keeps the labels fair; `cohort`
holds replies back until they are old enough to be judged, in their order, whether a label came or not; `delays` says
how old that is; `tests` adds up what several sources prove.

Imports `detectors`, `describe` and `validation`; knows no signal and no version. `signals`, `watch` and every other
room may import it.
"""
