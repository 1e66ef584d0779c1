"""Secrets at rest: they open with their key for their row, and with nothing else."""

import base64

import pytest
from django.core.management import CommandError, call_command

from ocpi.models import Source
from tenants import secrets
from tenants.models import ServiceAccount
from tenants.secrets import Undecryptable

OLD, NEW = (f"{kid}:{base64.b64encode(kid.encode() * 16).decode()}" for kid in ("k1", "k2"))


def account(name: str = "NDW") -> ServiceAccount:
    made = ServiceAccount(name=name, environment="staging", token_url="https://iam.ndw.nu/token", client_id="us")
    made.set_client_secret(f"secret of {name} €")
    return ServiceAccount.objects.get(pk=made.pk)


@pytest.mark.parametrize("plain", ["", "s3cret", "€ 𝄞 \x00", "x" * 20_000])
def test_encrypt_round_trip(plain):
    sealed = secrets.encrypt(plain, "a|b|1")

    assert secrets.decrypt(sealed, "a|b|1") == plain
    assert sealed.startswith("v1.t1.")
    assert plain == "" or plain not in sealed


def test_encrypt_same_text_twice_looks_different():
    assert secrets.encrypt("same", "a|b|1") != secrets.encrypt("same", "a|b|1")


@pytest.mark.parametrize("bound_to", ["a|b|2", "a|c|1", "x|b|1", ""])
def test_decrypt_for_another_row_is_refused(bound_to):
    sealed = secrets.encrypt("s3cret", "a|b|1")

    with pytest.raises(Undecryptable):
        secrets.decrypt(sealed, bound_to)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sealed: "",
        lambda sealed: "v1",
        lambda sealed: "v1.t1.",
        lambda sealed: "v1.t1.!!!",
        lambda sealed: sealed[:-8],
        lambda sealed: sealed[:-8] + "AAAAAAA=",
        lambda sealed: sealed.replace(".t1.", ".t2."),
        lambda sealed: sealed.replace("v1.t1.", "v1.t1.AAAA"),
    ],
)
def test_decrypt_of_what_was_spoilt_is_refused_without_saying_more(spoil):
    sealed = secrets.encrypt("s3cret", "a|b|1")

    with pytest.raises(Undecryptable) as caught:
        secrets.decrypt(spoil(sealed), "a|b|1")

    assert "s3cret" not in str(caught.value)


def test_keys_rotate_newest_encrypts_all_decrypt(settings):
    settings.FIELD_KEYS = [OLD]
    before = secrets.encrypt("s3cret", "row")

    settings.FIELD_KEYS = [NEW, OLD]
    after = secrets.encrypt("s3cret", "row")

    assert [secrets.decrypt(sealed, "row") for sealed in (before, after)] == ["s3cret", "s3cret"]
    assert (before[:6], after[:6]) == ("v1.k1.", "v1.k2.")
    settings.FIELD_KEYS = [NEW]
    assert secrets.decrypt(after, "row") == "s3cret"
    with pytest.raises(Undecryptable):
        secrets.decrypt(before, "row")


def test_keys_wrong_key_of_the_right_name_is_refused(settings):
    settings.FIELD_KEYS = [OLD]
    sealed = secrets.encrypt("s3cret", "row")

    settings.FIELD_KEYS = ["k1:" + base64.b64encode(b"x" * 32).decode()]

    with pytest.raises(Undecryptable):
        secrets.decrypt(sealed, "row")


def test_service_account_secret_cannot_be_moved_to_another(db):
    ours, theirs = account("ours"), account("theirs")
    assert ours.client_secret == "secret of ours €"

    theirs.client_secret_sealed = ours.client_secret_sealed

    with pytest.raises(Undecryptable):
        _ = theirs.client_secret


def test_service_account_access_token_is_bound_to_its_field_too(db):
    ours = account()
    ours.access_token_sealed = ours.client_secret_sealed

    with pytest.raises(Undecryptable):
        _ = ours.access_token

    ours.access_token_sealed = ours.seal_access_token("at")
    assert ours.access_token == "at"


def test_service_account_new_secret_forgets_the_access_token_and_nothing_else(db):
    made = account()
    ServiceAccount.objects.filter(pk=made.pk).update(access_token_sealed=made.seal_access_token("at"), client_id="them")

    made.set_client_secret("new")

    made.refresh_from_db()
    assert (made.client_secret, made.access_token_sealed, made.client_id) == ("new", "", "them")


# --- Another key -------------------------------------------------------------------------------------------------------


def test_reencrypt_lets_the_old_key_go(cpo, settings, capsys):
    settings.FIELD_KEYS = [OLD]
    made, source = account(), Source(tenant=cpo, url="https://cpo.example")
    source.set_token("t0ken")
    settings.FIELD_KEYS = [NEW, OLD]

    call_command("reencrypt")
    call_command("reencrypt")

    settings.FIELD_KEYS = [NEW]
    assert ServiceAccount.objects.get(pk=made.pk).client_secret == "secret of NDW €"
    assert Source.objects.get().token == "t0ken"
    assert (
        capsys.readouterr().out == "2 secrets encrypted with the first key.\n0 secrets encrypted with the first key.\n"
    )


def test_reencrypt_names_what_no_key_opens_and_leaves_it(db, settings):
    settings.FIELD_KEYS = [OLD]
    made = account()
    settings.FIELD_KEYS = [NEW]

    with pytest.raises(CommandError, match=r"opens the secret of: NDW \(staging\)"):
        call_command("reencrypt")

    assert ServiceAccount.objects.get(pk=made.pk).client_secret_sealed == made.client_secret_sealed
