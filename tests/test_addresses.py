"""Which URLs we may call. Source: reliability §5 E12, "Operator URLs"; design §7, "URLs of NDW"."""

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
