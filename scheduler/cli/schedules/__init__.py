"""`backbeat schedules`: living with entries. group.py puts the commands together."""
