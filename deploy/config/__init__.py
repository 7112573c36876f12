"""Settings: one dataclass a section, read from TOML and the environment, all errors at once.

`settings.load` is the way through; `secrets` makes and reads an installation's keys. Every wing may import it.
"""
