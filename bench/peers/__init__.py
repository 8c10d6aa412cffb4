"""Programs that run the peers, each with their own interpreter (see environment.py); nothing of ours is imported here."""
