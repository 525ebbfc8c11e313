"""What stands for a key that neither the job nor config.toml gives."""

AGENT = "claude"
"""The session profile."""
