"""Prompt templates: from a job's words and variables to the text that an agent is told.

It knows neither the agent that reads the text nor the home. May import `jobs`, `tmux` and `system`.
"""
