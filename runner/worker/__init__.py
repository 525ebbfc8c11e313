"""`muxq work`: takes in drops, claims jobs, runs attempts side by side, settles their ends.

The steps of one attempt are in `attempts`, a person's actions in `control`. May import `schedules` and all below it.
"""
