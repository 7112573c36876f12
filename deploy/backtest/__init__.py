"""What another policy would have done with the recorded history: when, and at what cost."""
