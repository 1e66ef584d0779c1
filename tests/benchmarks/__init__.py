"""What the gateway's paths cost, each against a yardstick in the same run: machines differ, ratios less so."""
