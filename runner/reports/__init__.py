"""Reports: the work of a home since a time, the jobs that have not begun and why, and the page that shows both.

It only reads. May import every room but `cli`.
"""
