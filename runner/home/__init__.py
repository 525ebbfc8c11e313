"""The folder that holds one queue, and each kind of record in it: the spool of jobs, attempts, config, hold, events.

It reads, writes and moves files; the rooms above decide whether a job may start. May import `templates`, `jobs`
and `system`.
"""
