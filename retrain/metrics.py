"""A trainer's metrics for Prometheus."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

BUSY = Gauge("homeostat_trainer_busy", "1 while a retraining is under way.")
STEPS = Gauge("homeostat_training_steps", "Steps done of the training under way.")
RETRAININGS = Counter("homeostat_retrainings_total", "Retrainings by how they ended.", ["alias", "status"])
