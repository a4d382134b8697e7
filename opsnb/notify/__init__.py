"""Notify people of findings: once when they change, once when they are ok again.

A run becomes observations (`observations`). The memory of each channel decides what is news to it
(`known`, `memory`). One message for each run and channel is written (`message`), waits in a spool
(`spool`) and is delivered within a time limit (`delivery`). Notifications never make a run fail.
"""
