"""Generated requests against the production web server: none is answered with 500, none that was refused stores anything.

`python -m tests.fuzz` (`make fuzz`) makes 100,000. Half of them go by the project's own OpenAPI (schemathesis), the others to
the OCPI paths with documents that are good, broken in one place, cut up as bytes, or no documents at all.
Source: reliability §2 P16; design §7, "Test budget".
"""
