"""Compose: signatures made of signatures: chain, group and chord. What `|` makes of two of them stands in pipe.py.

They are faces, as Signature is: in nodes there are only calls, chains and groups, and a chord is a chain whose first step is a group.
"""
