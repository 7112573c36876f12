"""From an alarm to a proven candidate: dataset, QLoRA, evaluation, gate."""
