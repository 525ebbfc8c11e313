"""Notifications: of the end of a job, a batch or a run, and of requests for a person; and the process that sends them.

The texts are templates in `home`. May import `intake` and all below it.
"""
