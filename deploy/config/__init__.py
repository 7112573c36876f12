"""Settings: one dataclass a section, read from TOML and the environment, all errors at once."""
