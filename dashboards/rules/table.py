"""All rules, in the order of their pages."""

from __future__ import annotations

from dashboards.rules.alarms import ALARMS
from dashboards.rules.clients import CLIENTS
from dashboards.rules.log import LOG
from dashboards.rules.processes import PROCESSES
from dashboards.rules.rule import Rule

RULES: tuple[Rule, ...] = (*ALARMS, *CLIENTS, *PROCESSES, *LOG)
