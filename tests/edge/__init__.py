"""The edge: the compose file's nginx before the production web server; framing, slow clients, an upstream that is down.
And everything through PgBouncer.

`make test-edge` runs it; it needs nginx and PgBouncer (Debian: nginx-light, pgbouncer). Source: reliability §2 P18, P19, §5 E1.
"""
