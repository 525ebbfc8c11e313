"""Schedules: recurring jobs and commands, cron expressions, and the system's timers that wake them.

It runs no job: it adds one, or writes the line that calls muxq. May import `notify` and all below it.
"""
