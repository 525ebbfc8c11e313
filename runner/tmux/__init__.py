"""The door to tmux: sessions on a server of the home's own, their panes, keys and screens.

It knows no job and no agent: `agents` reads what a screen means. May import `system`.
"""
