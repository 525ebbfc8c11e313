"""Jobs and batches as dicts: what `--json`, the Python interface and the tables of the command line show.

It changes nothing; how a dict is printed is for `cli`. May import `attempts` and all below it.
"""
