"""Agents: session profiles, the reading of their events and screens, the closing of their sessions.

It starts no attempt and moves no job. May import `home` and all below it.
"""
