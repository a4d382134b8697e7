"""What a check is, several of them run at once, causes ranked, values watched."""
