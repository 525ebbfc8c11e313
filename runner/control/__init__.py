"""Actions of a person beside the worker: sessions, messages, answers, cleaning up, checking the machine.

It runs no job. May import `worker` and all below it.
"""
