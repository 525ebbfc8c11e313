"""The entry of jobs: added ones, dropped files, the rows of a batch; each is checked before it becomes a job.

Where a job's file then lies, and its moves, are for `home`. May import `views` and all below it.
"""
