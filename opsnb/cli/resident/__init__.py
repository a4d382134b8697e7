"""The resident: a process of the user that has imported everything and forks for each run.

`opsnb run` by hand starts it, and the next one hands it its arguments, working folder, environment
and terminal. It is never needed: whatever is not as expected, a run goes on in its own process.
"""
