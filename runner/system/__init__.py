"""The operating system's doors: files, locks, processes, file events, git, time, and text that is safe to show.

Nothing here knows a job, an agent or tmux. May import `errors` alone.
"""
