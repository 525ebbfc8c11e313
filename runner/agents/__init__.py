"""Agents: session profiles, what is true of one kind of agent, the reading of events and screens, the end of a session.

It starts no attempt and moves no job. May import `home` and all below it.
"""
