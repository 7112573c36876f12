"""Settings: one dataclass a section, read from TOML and the environment, all errors at once.

`settings.load` is the way in. The sections' dataclasses are in the rooms that use them; `settings.Config` has all of
them. `reference` lists each setting with its comment, for `homeostat config` (`template`) and `docs/configuration.md`;
`secrets` makes and reads an installation's keys. Of deploy it imports `stack`; `operator` and all above may import it.
"""
