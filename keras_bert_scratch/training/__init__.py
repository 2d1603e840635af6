"""Training: optimizer, schedules, run directories and the loop around `model.fit`."""
