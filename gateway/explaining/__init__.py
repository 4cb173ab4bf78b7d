"""`why`: from an object's last change down to what a person, a node or a clock did.

`words` tells an event in one clause, `chains` follows causes through the log, `waiting`
says what an object waits for now, and `answering` puts an answer together.
"""
