"""Who may ask, and how much at once: keys and admission.

`keys.KeyRing` knows the API keys by their hashes and reads their file again when it changes; `admission` keeps each
key, and all together, within their bounds.

Of the gateway it may import `errors` and nothing else. `http`, `feedback` and `application` import it.
"""
