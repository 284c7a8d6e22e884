"""A person at the table, on a screen: the dialogue, their own stakes, the deal on the table, and forms for every move.

`terminal` says whether a terminal can show it, `stage` runs the engine behind it, `app` is the screen.
"""
