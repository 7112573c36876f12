"""What an operator does: versions, first adapters, alarms, labels, dead letters, budget, replay.

Each module is what one group of commands calls; `deploy.commands` prints.
"""
