"""Private values taken out of a dataset's rows, each with the surrogate that the gateway would give it.

`anonymity.Anonymity` is the way in; `recognisers` are Presidio's, which find what the gateway's patterns do not know.

It imports `monitor.describe`; `retrain.data.admission` imports it.
"""
