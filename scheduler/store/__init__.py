"""The durable truth of a beat, behind one seam (base.py): memory, and SQL."""
