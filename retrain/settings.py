"""The operator's settings of retraining; checked once, when made."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.validation import require

ENGINE_DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainSettings:
    """How a candidate is made, and what it must prove."""

    recipe: str = "qlora"  # a recipe of retrain/training/recipes, or the path of a TOML file
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
    # in which engines calculate, as vLLM's --dtype: "float32", "bfloat16", "float16"; "auto": float32 where the trainer
    # has no GPU, else the model's own, bfloat16 for one of float32. Adapters' proofs of effect are calculated in it
    engine_dtype: str = "auto"
    max_tokens: int = 0  # of an answer under evaluation, at most; 0: as many as the labels need, and room
    max_cut: float = 0.1  # share of the answers that may end at that limit; with more nothing is judged
    max_left_out: float = 0.5  # share of the rows that may be unusable (too long, refused); with more nothing is done
    concurrency: int = 8  # answers asked for at once
    threads: int = 0  # of the processor, for training; 0: the half of the cores that engines leave alone
    lease_s: float = 120.0  # a trainer silent for so long has lost its work to another
    timeout_s: float = 21_600.0  # a job that takes longer has failed

    def __post_init__(self) -> None:
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
        for name in ("regression_rows", "rehearsal_rows", "rehearsal_ratio", "threads", "max_tokens"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        require(self, "engine_dtype", self.engine_dtype in ENGINE_DTYPES, f"one of {', '.join(ENGINE_DTYPES)}")
        require(self, "lease_s", self.lease_s >= 3, "at least 3 seconds")
        require(self, "timeout_s", self.timeout_s > 0, "a positive number of seconds")
        require(self, "recipe", bool(self.recipe), "a recipe's name, or the path of a TOML file")
