"""`rollbook bench`: how fast Rollbook is, what it costs, and whether it was right.

Reading order: `results.py` (what is measured, as data), `system.py` and `hollow.py`
(the processes under measurement), `audit.py` (the check of the log), `session.py` (what
scenarios stand on), `rollouts.py`, `reactions.py`, `endurance.py` (the scenarios),
`runner.py`, and `report.py`, `plot.py`, `flames.py` (what a person gets to see).
"""
