"""Which URLs we may call. Source: reliability C28, E12 "Operator URLs"; design §7, "URLs of NDW"."""

import socket

import pytest

from tenants import addresses

LISTED = ["iam.ndw.nu", "push.ndw.nu:8443", "127.0.0.1", "[::1]:8001", "LOCALHOST:8001"]


@pytest.mark.parametrize(
    "url",
    [
        "https://iam.ndw.nu/auth/token",
        "https://IAM.NDW.NU:443/auth",
        "HTTPS://iam.ndw.nu",
        "https://push.ndw.nu:8443/ocpi/2.2.1",
        "http://127.0.0.1:9/token",
        "http://127.0.0.1",
        "https://127.0.0.1:9/token",
        "http://[::1]:8001/",
        "http://localhost:8001/x",
    ],
)
def test_check_lets_listed_hosts_pass(settings, url):
    settings.NDW_ALLOWED_HOSTS = LISTED

    addresses.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://iam.ndw.nu/",
        "https://iam.ndw.nu:22/",
        "https://iam.ndw.nu:80/",
        "https://push.ndw.nu/",
        "http://push.ndw.nu:8443/",
        "http://localhost/",
        "http://localhost:6379/",
        "http://[::1]:5432/",
        "https://evil.example/",
        "https://iam.ndw.nu.evil.example/",
        "https://iam.ndw.nu@evil.example/",
        "https://evil.example@iam.ndw.nu/",
        "https://us:secret@iam.ndw.nu/",
        "https://iam.ndw.nu\\@evil.example/",
        "https://evil.example\\.iam.ndw.nu/",
        "https://iam.ndw.nu#@evil.example/",
        "https://iam.ndw.nu/#x",
        "https://iam.ndw.nu./",
        "https://iam.ndw.nu%00/",
        "https://iam.ndw.nu%2eevil.example/",
        "https://iam。ndw。nu/",
        "https://\u0456am.ndw.nu/",
        "https://iam.ndw.nu:99999/",
        "https://iam.ndw.nu:x/",
        "https:///path",
        "https://",
        "//iam.ndw.nu/",
        "iam.ndw.nu",
        "",
        "ftp://iam.ndw.nu/",
        "ftp://127.0.0.1/",
        "file://127.0.0.1/etc/passwd",
        "gopher://127.0.0.1:6379/_",
        "javascript://127.0.0.1/%0aalert(1)",
        "http://127.1/",
        "http://0/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://017700000001/",
        "http://127.0.0.2/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1%25lo]/",
        "http://[::1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://192.168.0.1/",
        "http://127.0.0.1.nip.io/",
        "https://" + "a" * 300 + ".example/",
    ],
)
def test_check_refuses_everything_else(settings, url):
    settings.NDW_ALLOWED_HOSTS = LISTED

    with pytest.raises(addresses.NotAllowed) as caught:
        addresses.check(url)

    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_check_says_what_is_wrong(settings):
    settings.NDW_ALLOWED_HOSTS = ["iam.ndw.nu", "127.0.0.1"]
    said = {}
    for url in (
        "https://evil.example:8443/x",
        "http://iam.ndw.nu:443/",
        "https://us:secret@iam.ndw.nu/",
        "http://[::1",
    ):
        with pytest.raises(addresses.NotAllowed) as caught:
            addresses.check(url)
        said[url] = str(caught.value)

    assert list(said.values()) == [
        "https://evil.example:8443: not in NDW_ALLOWED_HOSTS, which lists iam.ndw.nu, 127.0.0.1.",
        "http://iam.ndw.nu:443: not https; only a loopback host may be http.",
        "https://iam.ndw.nu: no user name, password or # belongs in the URL.",
        "Not a URL: Invalid IPv6 URL.",
    ]


def test_check_with_an_empty_list_refuses_all(settings):
    settings.NDW_ALLOWED_HOSTS = []

    with pytest.raises(addresses.NotAllowed, match="which lists nothing"):
        addresses.check("https://iam.ndw.nu/")


# --- CPOs' Senders -----------------------------------------------------------------------------------------------------

INSIDE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "192.0.0.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001::1", "2002:7f00:1::",
    "fe80::1", "fe80::1%lo", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1",
]  # fmt: skip


def inside_url(address: str) -> str:
    return f"https://[{address}]/" if ":" in address else f"https://{address}/"


@pytest.mark.parametrize(
    "url",
    ["https://cpo.example/ocpi/versions", "https://CPO.example:443", "https://93.184.216.34/", "https://[2606:2800:220::1]/v",
     "https://xn--cpo-hoa.example/", "http://127.0.0.1:8000/versions", "https://inner.cpo.example:8443/"],
)  # fmt: skip
def test_check_source_lets_public_and_listed_hosts_pass(settings, url):
    settings.SOURCE_ALLOWED_HOSTS = ["127.0.0.1", "inner.cpo.example:8443"]

    addresses.check_source(url)


@pytest.mark.parametrize(
    "url",
    [
        *map(inside_url, INSIDE),
        "http://cpo.example/", "file:///etc/passwd", "gopher://cpo.example/_", "ftp://cpo.example/", "//cpo.example/",
        "cpo.example", "", "https://", "https:///path", "javascript:alert(1)",
        "https://us:secret@cpo.example/", "https://cpo.example@127.0.0.1/", "https://cpo.example/#x",
        "https://cpo.example:22/", "https://cpo.example:5432/", "https://cpo.example:6379/", "https://cpo.example:8443/",
        "https://cpo.example:80/", "https://cpo.example:0/", "https://cpo.example:x/", "https://cpo.example:99999/",
        "https://127.1/", "https://0/", "https://0x7f000001/", "https://0x7f.0.0.1/", "https://2130706433/", "https://017700000001/",
        "https://0177.0.0.1/", "https://localhost/", "https://localhost./", "https://db/", "https://cpo.example./",
        "https://x.localhost/", "https://printer.local/", "https://metadata.google.internal/", "https://metadata/",
        "https://cpo。example/", "https://\u0441po.example/", "https://cpo.example\\@127.0.0.1/", "https://cpo.exa\nmple/",
        "https://cpo.example%00/", "https://cpo%2eexample/", "https://cpo.example/ x", "https://" + "a" * 300 + ".example/",
        "https://[::1/", "https://-cpo.example/", "https://cpo..example/",
    ],
)  # fmt: skip
def test_check_source_refuses_everything_else(settings, url):
    settings.SOURCE_ALLOWED_HOSTS = []

    with pytest.raises(addresses.NotAllowed) as caught:
        addresses.check_source(url)

    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("address", INSIDE)
def test_check_source_refuses_a_name_that_leads_inside(monkeypatch, address):
    found = [(0, 0, 0, "", (one, 443)) for one in ("93.184.216.34", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *given, **named: found)

    with pytest.raises(addresses.NotAllowed, match="which is not a public address"):
        addresses.check_source_leads_out("https://127.0.0.1.nip.io/")


def test_check_source_refuses_a_name_that_nobody_has(monkeypatch):
    def nobody(*given, **named):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)

    with pytest.raises(addresses.NotAllowed, match=r"https://cpo.example: no such host \(Name or service not known\)"):
        addresses.check_source_leads_out("https://cpo.example/")
