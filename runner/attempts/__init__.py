"""One try at a job: plan, prepare, launch, watch, verdict, collect.

It knows its run folder and its session; the queue, and the move of the job, are for `worker`. May import `agents` and
all below it.
"""
