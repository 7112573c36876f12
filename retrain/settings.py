"""The operator's settings of retraining; checked once, when made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.validation import require
from retrain.runners.settings import KubernetesSettings
from retrain.synthetic.settings import SyntheticSettings
from streams.scoring.settings import parsed

JUDGING = 0.99  # share of the fresh rows that judge where nothing is trained; the dataset wants a row to learn from
ALL_ROWS = 1_000_000  # more than a champion was ever taught
PII_KINDS = ("secret", "email", "iban", "card", "phone", "ip", "id", "name")


@dataclass(frozen=True, slots=True, kw_only=True)
class PiiSettings:
    """What is taken out of a dataset's rows that the gateway's patterns have missed."""

    kinds: tuple[str, ...] = PII_KINDS  # a surrogate stands for each; id: a number by which a state knows a person
    spacy_model: str = (
        ""  # that finds names, such as en_core_web_md; installed where datasets are made; empty: no names
    )
    mask_key_file: Path | None = None  # of the gateways' surrogates; none: `secrets.mask_key_file`, else this folder's

    def __post_init__(self) -> None:
        strange = ", ".join(sorted(set(self.kinds) - set(PII_KINDS)))
        require(self, "kinds", not strange, f"kinds among {', '.join(PII_KINDS)}")


BACKENDS = ("own", "trl", "command")
OWN_ENGINE = ("auto", "always", "never")
MANIFEST = "{manifest}"  # in `command`: the manifest's path
DOWNSTREAM = "downstream/"  # before an API key's name
SOURCES = {"local": ("env:", "file:"), "kubernetes": ("secret:",)}  # of a secret, by runner

ENGINE_DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainSettings:
    """How a candidate is made, and what it must prove."""

    recipe: str = "small"  # a recipe of retrain/training/recipes, or the path of a TOML file
    backend: str = "own"  # what trains: "own"; "trl", its SFTTrainer on one node; "command", any other program
    # of the backend "command": program and arguments, of which one holds {manifest}, the path of the training's
    # manifest; started without a shell
    command: tuple[str, ...] = ()
    command_environment: tuple[str, ...] = ()  # variables that it gets though named like secrets, such as HF_TOKEN
    packing: bool = False  # of the backend "trl": several rows in one sequence
    validation_share: float = 0.25  # of the fresh labelled rows: judged on, never trained on; at least
    max_validation_share: float = 0.5  # and at most: as many as it takes to prove that half of the harm is mended
    regression_rows: int = 1_000  # rows of the healthy time, of which as many are asked as it takes to tell; at most
    judged_rows: int = 100  # fresh replies without a label that a judge model compares both versions on; at most
    step_rows: int = 20  # that are judged on at a time: as soon as they tell, no more are asked
    rehearsal_rows: int = 250  # rows of the healthy time that are trained on again, against forgetting; at most
    rehearsal_ratio: float = 1.5  # of them to each fresh row; at most
    fresh_passes: int = 2  # times that a fresh row is seen where a rehearsed one is seen once
    client_cap: float = 0.2  # largest share of the fresh questions from one client; an even share where there are few
    max_quarantined: float = 0.3  # share of the fresh rows whose labels are not believed; with more nothing is done
    # by a tag's name, such as licence: its values that allow a row to be used; a row without one has the value ""
    consent: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pii: PiiSettings = field(default_factory=PiiSettings)
    synthetic: SyntheticSettings = field(default_factory=SyntheticSettings)
    # in the metric's own unit: 0.02 are 2 % more right answers, or a ROUGE-L that is higher by 0.02
    min_gain: float = 0.02  # by which a candidate is to be proven better on the fresh rows, more than that
    margin: float = 0.10  # by which it may be worse on the healthy time's
    slice_margin: float = 0.25  # and on a tag's group
    min_slice: int = 30  # rows with which a group of less than a tenth can end a candidate by itself
    max_length_ratio: float = 2.0  # how many times as long its answers to healthy rows may be, in tokens; 0: no limit
    max_latency_ratio: float = 0.0  # how many times as long they may take; 0: no limit: an engine's load blurs it
    # a further metric, by its name, as pkg.module:function, or as downstream/KEY: the scores that this key's feedback
    # gave to the replies; none: no such check
    business_metric: str = ""
    business_margin: float = 0.05  # by which a candidate may be worse by that
    safety_file: str = ""  # JSON lines: prompts, and what an answer to them must be (docs/gate.md); none: no such check
    fairness_file: str = (
        ""  # TOML: terms by which requests name groups (docs/evaluation.md); none: no counterfactual set
    )
    swapped_rows: int = 100  # rows that are asked again with another group's term, for each tag; at most
    max_swapped_gap: float = 0.0  # by which answers may be worse where a request names one group; 0: it is only said
    alpha: float = 0.05  # chance that a check passes wrongly at all attempts at one harm; the first has half of it
    # the engine that candidates are evaluated on: "auto", one of the job's own where a GPU, or more than 32 GB of
    # memory, is free, else the serving one; "always" one of its own; "never"
    own_engine: str = "auto"
    # in which engines calculate, as vLLM's --dtype: "float32", "bfloat16", "float16"; "auto": float32 where the trainer
    # has no GPU, else the model's own, bfloat16 for one of float32. Adapters' proofs of effect are calculated in it
    engine_dtype: str = "auto"
    max_tokens: int = 0  # of an answer under evaluation, at most; 0: as many as the labels need, and room
    max_cut: float = 0.1  # share of the answers that may end at that limit; with more nothing is judged
    max_lora_rank: int = 16  # of a recipe: what the engines were started with
    max_left_out: float = 0.5  # share of the rows that may be unusable (too long, refused); with more nothing is done
    concurrency: int = 8  # answers asked for at once
    threads: int = 0  # of the processor, for training; 0: the half of the cores that engines leave alone
    lease_s: float = 120.0  # a trainer silent for so long has lost its work to another
    timeout_s: float = 21_600.0  # a job that takes longer has failed
    # after stack.model was changed: folder of the base model that the champion was trained on. A candidate is trained
    # on the new one and gated against the champion on the old; empty: the same
    champion_model: str = ""
    champion_engine: str = ""  # with it: URL of a vLLM that still serves that model and reads the store's folder
    # how often each alias is retrained though no alarm asks for it, in hours since its last retraining was asked for;
    # 0: never
    every_h: float = 0.0
    gpus: int = 0  # processes that train together by torchrun, one a GPU; 0 and 1: one process, without torchrun
    runner: str = "local"  # what runs a job: "local", this machine; "kubernetes", a Job of the cluster
    kubernetes: KubernetesSettings = field(default_factory=KubernetesSettings)
    # variable of the job's environment -> where its value is: "env:NAME" of the trainer's own environment or
    # "file:/path"; with the runner "kubernetes" "secret:NAME/KEY", a Secret; never the value itself
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(self, "backend", self.backend in BACKENDS, f"one of {', '.join(BACKENDS)}")
        by_command = 'a program and its arguments, one of them with {manifest}, where backend is "command", else none'
        manifests = sum(MANIFEST in each for each in self.command[1:])
        require(self, "command", manifests == 1 if self.backend == "command" else not self.command, by_command)
        by_name = 'names of variables, where backend is "command"'
        require(self, "command_environment", self.backend == "command" or not self.command_environment, by_name)
        require(self, "packing", self.backend == "trl" or not self.packing, 'false, unless backend is "trl"')
        require(self, "own_engine", self.own_engine in OWN_ENGINE, f"one of {', '.join(OWN_ENGINE)}")
        require(self, "alpha", 0 < self.alpha < 0.5, "a share between 0 and 0.5")
        for name in ("validation_share", "max_validation_share", "client_cap"):
            require(self, name, 0 < getattr(self, name) < 1, "a share between 0 and 1")
        for name in ("margin", "slice_margin", "business_margin", "max_swapped_gap"):
            require(self, name, 0 <= getattr(self, name) < 1, "a share from 0 to below 1")
        require(self, "min_gain", -1 < self.min_gain < 1, "a share from 0 to below 1; below 0 it may be so much worse")
        for name in ("max_cut", "max_left_out", "max_quarantined"):
            require(self, name, 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        expected = f"at least validation_share ({self.validation_share})"
        require(self, "max_validation_share", self.max_validation_share >= self.validation_share, expected)
        for name in ("min_slice", "concurrency", "step_rows", "fresh_passes", "max_lora_rank"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("regression_rows", "judged_rows", "rehearsal_rows", "rehearsal_ratio", "swapped_rows"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        require(self, "engine_dtype", self.engine_dtype in ENGINE_DTYPES, f"one of {', '.join(ENGINE_DTYPES)}")
        for name in ("threads", "gpus", "max_tokens"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        for name in ("max_length_ratio", "max_latency_ratio"):
            require(self, name, not getattr(self, name) or getattr(self, name) > 1, "0, or more than 1")
        limit = "0 where no fairness_file names the groups' terms"
        require(self, "max_swapped_gap", not self.max_swapped_gap or bool(self.fairness_file), limit)
        if self.business_metric.startswith(DOWNSTREAM):
            key = self.business_metric.removeprefix(DOWNSTREAM)
            require(self, "business_metric", bool(key.strip()), "downstream/ and the name of an API key")
        elif self.business_metric:
            parsed(business(self.business_metric), "retrain.business_metric")
        require(self, "lease_s", self.lease_s >= 3, "at least 3 seconds")
        require(self, "timeout_s", self.timeout_s > 0, "a positive number of seconds")
        both = "a URL where champion_model is set, else none: another base model needs an engine of its own"
        require(self, "champion_engine", bool(self.champion_model) == bool(self.champion_engine), both)
        require(self, "every_h", self.every_h == 0 or self.every_h >= 1, "0, or at least 1 hour")
        require(self, "runner", self.runner in SOURCES, f"one of {', '.join(SOURCES)}")
        for name, source in self.secrets.items():
            if not name.isidentifier() or not any(source.startswith(each) and source != each for each in self._sources):
                raise ValueError(
                    f"RetrainSettings.secrets.{name} is (not shown), expected where the value is, "
                    f"{' or '.join(self._sources)} and its place, under the name of an environment variable"
                )
        require(self, "recipe", bool(self.recipe), "a recipe's name, or the path of a TOML file")

    @property
    def _sources(self) -> tuple[str, ...]:
        return SOURCES[self.runner]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """Where runs and versions are tracked: MLflow."""

    # MLflow's address: http://host:5000, or what else MLFLOW_TRACKING_URI takes, which goes before it; empty: a SQLite
    # file in stack.var
    uri: str = ""
    # where runs that begin here keep their files, as s3://bucket/mlflow; for an address that is a database, which knows
    # no place; empty: the server decides
    artifacts: str = ""
    username_file: Path | None = None  # what MLFLOW_TRACKING_USERNAME is to be, where the environment has none
    password_file: Path | None = None  # and MLFLOW_TRACKING_PASSWORD
    token_file: Path | None = None  # and MLFLOW_TRACKING_TOKEN, instead of the two
    registry: bool = True  # mirror the routes into model versions with the aliases champion, challenger and previous
    # a version that a person gives the alias approved, or champion, in MLflow is approved by them; whom the model
    # version's tag approved_by names; it is as sure as that server's access control
    approvals: bool = False

    def __post_init__(self) -> None:
        named = "@" in self.uri.partition("://")[2].partition("/")[0]
        if named:
            raise ValueError(
                "TrackingSettings.uri is (not shown), expected an address without a name or a password: those come "
                "from the environment, such as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or in "
                "MLFLOW_TRACKING_URI itself"
            )
        named = "@" in self.artifacts.partition("://")[2].partition("/")[0]
        require(self, "artifacts", not named, "an address without a name or a password")
        require(self, "approvals", self.registry or not self.approvals, "false, unless registry is true")

    def credentials(self) -> dict[str, str]:
        """Read the files, and return the variables that MLflow wants for them. Raise OSError where one cannot be
        read."""
        files = {"USERNAME": self.username_file, "PASSWORD": self.password_file, "TOKEN": self.token_file}
        named = {name: path for name, path in files.items() if path is not None}
        return {f"MLFLOW_TRACKING_{name}": path.read_text("utf-8").strip() for name, path in named.items()}


def business(metric: str) -> object:
    """Return the business metric as `scoring.metrics` would have it.

    >>> business("rouge_l"), business("house.metrics:resolved")
    ('rouge_l', {'callable': 'house.metrics:resolved'})
    """
    return {"callable": metric} if ":" in metric or "." in metric else metric


def of_request(settings: RetrainSettings, *, forgets: bool, adopts: bool) -> RetrainSettings:
    """Return the settings of a job by what its request is for."""
    if forgets:
        return forgetting(settings)
    return adopting(settings) if adopts else settings


def adopting(settings: RetrainSettings) -> RetrainSettings:
    """Return the settings of a job whose candidate was trained elsewhere: no row is needed to train, so that nearly all
    of them judge."""
    return replace(settings, validation_share=JUDGING, max_validation_share=JUDGING, rehearsal_rows=0)


def forgetting(settings: RetrainSettings) -> RetrainSettings:
    """Return the settings of a retraining whose candidate is to take the place of one that has learned from a forgotten
    person: it begins from the base model, is taught all that is left of what the champion learned, and must be proven
    not to be worse."""
    return replace(settings, min_gain=-settings.margin, rehearsal_rows=ALL_ROWS, rehearsal_ratio=float(ALL_ROWS))
