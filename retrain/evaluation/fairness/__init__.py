"""Whether groups are served alike: rates and gaps of the groups that tags name, and a counterfactual set, in which a
request is asked again with another group's term in it.

`terms` swaps them, `counterfactual` asks both versions, `audit` is pure and says what is known and what is not. Only
the job's steps and `retrain.card` import it.
"""
