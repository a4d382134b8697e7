"""When schedules are due, when they last ran, and which of them are late."""
