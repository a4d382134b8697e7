"""What is operated, one module a system: its connection and its checks together.

Only these modules import drivers. Each maps its driver's exceptions to `opsnb.errors` in one
place, bounds every call by the target's time limit, and never changes anything in a check.
"""
