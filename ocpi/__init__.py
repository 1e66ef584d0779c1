"""What they say: Locations and Tariffs uploaded by CPOs, served to NDW and pushed to NDW."""
