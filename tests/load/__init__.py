"""National load: a country of charge points, its changes, NDW's crawls; what it costs, and whether the minute holds."""
