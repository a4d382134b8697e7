"""How the kernels of runs are started: from a process that has imported everything once."""
