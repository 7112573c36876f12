"""Which labels are believed: what people say of like requests, and what an operator decided.

`quarantine.parted` is the way in. `conflicts` settles one question that is answered differently, `opinions` asks
other people's labels of like requests: `neighbours` finds these, `telling` says which of them are silent. `settlements`
keeps an operator's decisions.

Pure but for `settlements`, which reads and writes the store. `retrain.data` and operators' acts import it.
"""
