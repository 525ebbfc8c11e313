"""Jobs: file, name and id, the states and the moves between them, and the outcomes of an attempt.

Pure but for reading bytes: no home and no folder, which are `home`. May import `system`.
"""
