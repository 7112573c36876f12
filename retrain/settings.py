"""The operator's settings of retraining; checked once, when made."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.validation import require

BACKENDS = ("own", "trl", "command")
MANIFEST = "{manifest}"  # in `command`: the manifest's path
SOURCES = ("env:", "file:")  # of a secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainSettings:
    """How a candidate is made, and what it must prove."""

    recipe: str = "qlora"  # a recipe of retrain/training/recipes, or the path of a TOML file
    backend: str = "own"  # what trains: "own"; "trl", its SFTTrainer on one node; "command", any other program
    # of the backend "command": program and arguments, of which one holds {manifest}, the path of the training's
    # manifest; started without a shell
    command: tuple[str, ...] = ()
    command_environment: tuple[str, ...] = ()  # variables that it gets though named like secrets, such as HF_TOKEN
    packing: bool = False  # of the backend "trl": several rows in one sequence
    proof_prefixes: int = 8  # beginnings of answers by which a replica can prove which adapter it serves; 0: none
    validation_share: float = 0.25  # of the fresh labelled rows: judged on, never trained on; at least
    max_validation_share: float = 0.5  # and at most: as many as it takes to prove that half of the harm is mended
    regression_rows: int = 320  # rows of the healthy time that a candidate must not do worse on; at most
    step_rows: int = 20  # that are judged on at a time: as soon as they tell, no more are asked
    rehearsal_rows: int = 250  # rows of the healthy time that are trained on again, against forgetting; at most
    rehearsal_ratio: float = 1.5  # of them to each fresh row; at most
    fresh_passes: int = 2  # times that a fresh row is seen where a rehearsed one is seen once
    client_cap: float = 0.2  # largest share of the fresh questions from one client; an even share where there are few
    # in the metric's own unit: 0.02 are 2 % more right answers, or a ROUGE-L that is higher by 0.02
    min_gain: float = 0.02  # by which a candidate is to be proven better on the fresh rows, more than that
    margin: float = 0.10  # by which it may be worse on the healthy time's
    slice_margin: float = 0.25  # and on a tag's group
    min_slice: int = 30  # rows that a group needs to be looked at
    alpha: float = 0.05  # chance that a check passes wrongly; halved with each further attempt at the same harm
    max_tokens: int = 0  # of an answer under evaluation, at most; 0: as many as the labels need, and room
    max_cut: float = 0.1  # share of the answers that may end at that limit; with more nothing is judged
    max_left_out: float = 0.5  # share of the rows that may be unusable (too long, refused); with more nothing is done
    concurrency: int = 8  # answers asked for at once
    threads: int = 0  # of the processor, for training; 0: the half of the cores that engines leave alone
    lease_s: float = 120.0  # a trainer silent for so long has lost its work to another
    timeout_s: float = 21_600.0  # a job that takes longer has failed
    gpus: int = 0  # processes that train together by torchrun, one a GPU; 0 and 1: one process, without torchrun
    # variable of the job's environment -> where its value is: "env:NAME" of the runner's own environment, or
    # "file:/path"; never the value itself
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self, "backend", self.backend in BACKENDS, f"one of {', '.join(BACKENDS)}")
        by_command = 'a program and its arguments, one of them with {manifest}, where backend is "command", else none'
        manifests = sum(MANIFEST in each for each in self.command[1:])
        require(self, "command", manifests == 1 if self.backend == "command" else not self.command, by_command)
        by_name = 'names of variables, where backend is "command"'
        require(self, "command_environment", self.backend == "command" or not self.command_environment, by_name)
        require(self, "packing", self.backend == "trl" or not self.packing, 'false, unless backend is "trl"')
        require(self, "alpha", 0 < self.alpha < 0.5, "a share between 0 and 0.5")
        for name in ("validation_share", "max_validation_share", "client_cap"):
            require(self, name, 0 < getattr(self, name) < 1, "a share between 0 and 1")
        for name in ("min_gain", "margin", "slice_margin"):
            require(self, name, 0 <= getattr(self, name) < 1, "a share from 0 to below 1")
        for name in ("max_cut", "max_left_out"):
            require(self, name, 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        expected = f"at least validation_share ({self.validation_share})"
        require(self, "max_validation_share", self.max_validation_share >= self.validation_share, expected)
        for name in ("min_slice", "concurrency", "step_rows", "fresh_passes"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in (
            "regression_rows",
            "rehearsal_rows",
            "rehearsal_ratio",
            "threads",
            "gpus",
            "max_tokens",
            "proof_prefixes",
        ):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        require(self, "lease_s", self.lease_s >= 3, "at least 3 seconds")
        require(self, "timeout_s", self.timeout_s > 0, "a positive number of seconds")
        for name, source in self.secrets.items():
            if not name.isidentifier() or not any(source.startswith(each) and source != each for each in SOURCES):
                raise ValueError(
                    f'RetrainSettings.secrets.{name} is (not shown), expected where the value is, "env:NAME" or '
                    '"file:/path", under the name of an environment variable'
                )
        require(self, "recipe", bool(self.recipe), "a recipe's name, or the path of a TOML file")
