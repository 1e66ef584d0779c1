"""Who may talk to us, and as which party; knows nothing of OCPI objects."""
