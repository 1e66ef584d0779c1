"""P20: forged access tokens of every kind, and random tokens: at the web server and, many more, at what looks tokens up.

The kinds are those of tests/test_oauth.py, and some that are too large or too odd for a list there.
"""

import base64
import hmac
import json
import random
import statistics
import string
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwt
from joserfc.jwk import ECKey

from tenants import authentication, oauth, secrets
from tenants.models import OAuthClient, Token
from tests import factories, test_oauth
from tests.benchmarks import stage
from tests.chaos.promises import Verdict
from tests.door import Size
from tests.test_oauth import claims_of, part, raw_signed, signed
from tests.wire import Wire, request

CLIENTS = 8
LONGEST_MS = 2
LIST, OBJECT = "/ocpi/sender/NL/EXA/2.2.1/locations", "/ocpi/receiver/2.2.1/locations/NL/EXA/LOC-0001"


def cases(test: Any, number: int = 0) -> list[Any]:
    """Return the values with which a test is parametrized."""
    return next(list(mark.args[1]) for mark in test.pytestmark[number:] if mark.name == "parametrize")


def forgeries(client: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield (what is wrong, token): each would open the door, were it not for that."""
    claims = claims_of(client)
    head, body, signature = signed(claims).split(".")
    for algorithm in cases(test_oauth.test_forged_without_an_algorithm_is_refused, 1):
        for kind, ending in (("", ""), ("signature AAAA", "AAAA"), ("genuine signature", signature)):
            yield (
                f"alg {algorithm!r} {kind}",
                f"{part({'alg': algorithm, 'typ': 'at+jwt', 'kid': 't1'})}.{body}.{ending}",
            )
    for changes in cases(test_oauth.test_forged_claims_under_a_genuine_signature_are_refused):
        yield f"claims {changes}", raw_signed(claims_of(client, **changes))
    for payload in cases(test_oauth.test_forged_payload_that_is_no_object_is_refused):
        yield f"payload {payload[:20]!r}", raw_signed(payload)
    for header in cases(test_oauth.test_forged_header_under_a_genuine_signature_is_refused):
        yield f"header {header}", raw_signed(claims, **header)
    yield from _with_other_keys(claims)
    yield from _touched(head, body, signature, client)


def _with_other_keys(claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    ours: Any = oauth.signing_keys().keys[0]
    theirs = ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))
    public = {"PEM": ours.as_pem(private=False), "DER": ours.as_der(private=False),
              "JWK": json.dumps(ours.as_dict(private=False)).encode(), "nothing": b""}  # fmt: skip
    for algorithm in ("HS256", "HS384", "HS512"):
        for form, secret in public.items():
            text = f"{part({'alg': algorithm, 'typ': 'at+jwt', 'kid': 't1'})}.{part(claims)}"
            digest = hmac.digest(secret, text.encode(), algorithm.replace("HS", "sha"))
            yield f"{algorithm} with our public key as {form}", f"{text}.{part(digest)}"
    brought = {"jwk": theirs.as_dict(private=False), "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/keys",
               "x5c": ["AAAA"], "kid": "evil", "x": 1}  # fmt: skip
    for name, value in brought.items():
        header = {"alg": "ES256", "typ": "at+jwt", "kid": "t1"} | ({name: value} if name != "x" else {})
        yield f"another's key, {name} in the header", jwt.encode(header, claims, theirs, registry=_any_header())


def _any_header() -> Any:
    from joserfc.jws import JWSRegistry

    return JWSRegistry(algorithms=["ES256"], strict_check_header=False)


def _touched(head: str, body: str, signature: str, client: dict[str, str]) -> Iterator[tuple[str, str]]:
    raw = base64.urlsafe_b64decode(signature + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    ends = {"no": b"", "cut": raw[:-1], "long": raw + b"\0", "zeros": bytes(64), "swapped": raw[32:] + raw[:32], "DER": der,
            "ones": b"\xff" * 64}  # fmt: skip
    for name, ending in ends.items():
        yield f"signature: {name}", f"{head}.{body}.{part(ending)}"
    yield "two parts", f"{head}.{body}"
    yield "five parts (JWE)", f"{part({'alg': 'dir', 'enc': 'A256GCM', 'zip': 'DEF'})}..{body}.{signature}."
    bomb = zlib.compress(b"0" * 2_000_000, 9)[:2000]
    yield "JWE with a bomb", f"{part({'alg': 'dir', 'enc': 'A128GCM', 'zip': 'DEF'})}..AAAA.{part(bomb)}.AAAA"
    yield "another tenant in the claims", f"{head}.{part(claims_of(client, tenant='NL-RIV'))}.{signature}"
    yield "later end in the claims", f"{head}.{part(claims_of(client, exp=int(time.time()) + 10**6))}.{signature}"
    yield "another header over it", f"{part({'alg': 'ES256', 'typ': 'at+jwt'})}.{body}.{signature}"
    yield (
        "header of a megabyte",
        f"{part({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 't1', 'x': 'a' * 10**6})}.{body}.{signature}",
    )
    yield (
        "header of 7 kB",
        f"{part({'alg': 'ES256', 'typ': 'at+jwt', 'kid': 't1', 'x': 'a' * 5000})}.{body}.{signature}",
    )
    yield "nothing but dots", ".."


def ended(client: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield access tokens that were good once: of a client that is revoked, and from before its `not_before`."""
    row = OAuthClient(tenant=OAuthClient.objects.get(client_id=client["client_id"]).tenant)
    row.issue()
    yield "of a client that was revoked", signed(claims_of({"client_id": row.client_id}))
    row.revoke()
    row = OAuthClient(tenant=row.tenant)
    row.issue()
    yield "from before not_before", signed(claims_of({"client_id": row.client_id}))
    row.end_access_tokens()


def guesses(live: list[str], chance: random.Random) -> Iterator[str]:
    """Yield header values that look like tokens, without end: well-formed, one letter off, packed, and noise."""
    letters = string.ascii_letters + string.digits
    while True:
        yield secrets.new_token(chance.choice(["upload", "pull"]))[0]
        value, at = chance.choice(live), chance.randrange(57)
        yield value[:at] + chance.choice([letter for letter in letters if letter != value[at]]) + value[at + 1 :]
        yield base64.b64encode(secrets.new_token("pull")[0].encode()).decode()
        yield "".join(chance.choices(string.printable[:94], k=chance.randrange(1, 80)))


def play(size: Size) -> Verdict:
    """Play all of it."""
    verdict, cpo = Verdict("P20", "no forged token opens the door"), factories.make_tenant("EXA")
    factories.put_tariff(cpo)
    factories.put_location(cpo)
    row = OAuthClient(tenant=cpo)
    client = {"client_secret": row.issue(), "client_id": row.client_id}
    live = [
        factories.make_token(cpo),
        factories.make_token(cpo, Token.Purpose.PULL),
        factories.make_token(None, Token.Purpose.PULL),
    ]
    forged = [*forgeries(client), *ended(client)]
    good = signed(claims_of(client))
    with stage.served() as server:
        opened = _answer(server.port, LIST, f"Bearer {good}")
        verdict.check(opened[0] == 200, f"the yardstick itself: {opened}")
        verdict.wrong += [f"{what}: {_answer(server.port, LIST, f'Bearer {token}')}" for what, token in forged
                          if not _is_refused(what, *_answer(server.port, LIST, f"Bearer {token}"))]  # fmt: skip
        per_s, statuses, others = _guess_over_http(server.port, live, size(100_000, 200))
    verdict.check(set(statuses) == {401} and not others, f"guesses: {dict(statuses)}, without the header: {others[:3]}")
    took_ms = {what: _cpu_ms(token) for what, token in [("good", good), *forged]}
    slowest = max(took_ms, key=lambda what: took_ms[what])
    verdict.check(took_ms[slowest] <= LONGEST_MS, f"{slowest} takes {took_ms[slowest]:.2f} ms")
    count = size(1_000_000, 2000)
    accepted, look_ms, looks_per_s = _guess_directly(live, count)
    verdict.check(not accepted, f"{accepted} guesses were accepted")
    verdict.check(look_ms <= LONGEST_MS, f"a look takes {look_ms:.2f} ms")
    verdict.figures = (
        f"{len(forged)} forged JWTs, {statuses.total()} random tokens over HTTP ({per_s:.0f}/s) and {count} at the "
        f"authenticator ({looks_per_s:.0f}/s): {accepted + statuses[200]} accepted; a JWT {took_ms['good']:.2f} ms, the slowest "
        f"{took_ms[slowest]:.2f} ms; a token {look_ms:.2f} ms (median)"
    )
    return verdict


def _is_refused(what: str, status: int, header: str) -> bool:
    """A header that no web server takes is refused by that, before us."""
    return (status, header) == (401, "Token, Bearer") or (what == "header of a megabyte" and status in (0, 400, 431))


def _answer(port: int, target: str, authorization: str) -> tuple[int, str]:
    """Return the status and WWW-Authenticate; 0 where the server hung up."""
    from tests.wire import Closed

    with Wire(f"127.0.0.1:{port}", timeout_s=60) as wire:
        try:
            wire.send(request("GET", target, [("Authorization", authorization)]))
            answer = wire.answer()
        except Closed:
            return 0, ""
    return answer.status, answer.headers.get("www-authenticate", "")


def _guess_over_http(port: int, live: list[str], count: int) -> tuple[float, Counter[int], list[str]]:
    """Guess at both doors; return the rate, the answers by status, and what said nothing in WWW-Authenticate."""
    wires = [Wire(f"127.0.0.1:{port}", timeout_s=60) for _ in range(CLIENTS)]
    sources = [guesses(live, random.Random(thread)) for thread in range(CLIENTS)]
    statuses: Counter[int] = Counter()
    others: list[str] = []

    def work(thread: int, job: int) -> None:
        value, is_pull = next(sources[thread]), job // CLIENTS % 2
        wires[thread].send(request("GET", LIST if is_pull else OBJECT, [("Authorization", f"Token {value}")]))
        answer = wires[thread].answer()
        statuses[answer.status] += 1
        if answer.headers.get("www-authenticate") != ("Token, Bearer" if is_pull else "Token"):
            others.append(value)

    per_s = stage.rate(work, CLIENTS, count)
    for wire in wires:
        wire.close()
    return per_s, statuses, others


def _cpu_ms(token: str) -> float:
    """Return what one verification costs: CPU time, for the machine may be busy; the least of twenty."""
    took = []
    for _ in range(20):
        began = time.thread_time()
        if len(token) <= authentication.LONGEST:
            oauth.find_client(token)
        took.append((time.thread_time() - began) * 1000)
    return min(took)


def _guess_directly(live: list[str], count: int) -> tuple[int, float, float]:
    """Look up guesses in the database; return how many were found, the median of a look (ms), and the rate."""
    made, found, took = guesses(live, random.Random(20)), 0, []
    started = time.perf_counter()
    for _ in range(count):
        value = next(made)
        began = time.perf_counter()
        found += authentication.find_token(value) is not None
        took.append(time.perf_counter() - began)
    return found, statistics.median(took) * 1000, count / (time.perf_counter() - started)
