"""Who may ask, and how much at once: keys and admission.

`keys.KeyRing` knows the API keys by their hashes and reads their file again when it changes; `admission` keeps each
key, and all together, within their bounds; `revocations` follows the log for the keys that count no longer.

`tokens.Tokens` knows people by the tokens of their identity provider, whose public keys (`key_sets`) `issuer_keys`
reads again and again; the role that wants them hands them to the ring. `audit.AuditLog` takes who did what, and who was
refused.

Of the gateway it may import `errors` and nothing else. `http`, `feedback` and `application` import it.
"""
