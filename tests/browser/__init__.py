"""The console in a real browser against a real gateway (`make test-browser`); not collected by `make test`."""
