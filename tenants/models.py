"""Who may talk to us (Tenant, Token, OAuthClient) and how we reach NDW for them (ServiceAccount, Connection)."""

import contextlib
import datetime as dt
import logging
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now, Upper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenants import secrets, sql

logger = logging.getLogger(__name__)

AUTH_USER = settings.AUTH_USER_MODEL


class Environment(models.TextChoices):
    """NDW's two environments; they deliver independently of each other."""

    STAGING = "staging", _("Staging")
    PRODUCTION = "production", _("Production")


class Tenant(models.Model):
    """One CPO under one party. A company with two party ids has two tenants.

    Source: OCPI 2.2.1 credentials, "CredentialsRole"; NDW DOT-NL, "party_id".
    """

    country_code = models.CharField(
        _("country code"),
        max_length=2,
        validators=[RegexValidator(r"\A[A-Za-z]{2}\Z", _("Two letters (ISO 3166-1 alpha-2), for example NL."))],
        help_text=_("Country of the CPO's party, not of its sites: two letters, for example NL."),
    )
    party_id = models.CharField(
        _("party id"),
        max_length=3,
        validators=[RegexValidator(r"\A[A-Za-z0-9]{3}\Z", _("Three letters or digits (ISO 15118), for example EXA."))],
        help_text=_("The CPO's own id: three letters or digits. Under any other id NDW silently hides the data."),
    )
    name = models.CharField(_("name"), max_length=100)
    contact_name = models.CharField(_("contact name"), max_length=100, blank=True)
    contact_email = models.EmailField(_("contact email"), blank=True)
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("An inactive tenant's credentials answer 401.")
    )
    brake_percent = models.PositiveSmallIntegerField(
        _("brake"),
        default=10,
        db_default=10,
        validators=[MaxValueValidator(100)],
        help_text=_(
            "A full set that would remove more than so many per cent of the EVSEs (or tariffs), and at least 5, is "
            "held until an operator accepts it."
        ),
    )
    heartbeat_h = models.PositiveSmallIntegerField(
        _("heartbeat"),
        default=24,
        db_default=24,
        validators=[MinValueValidator(1)],
        help_text=_(
            "Hours. Without an upload for longer the CPO counts as silent; so does an EVSE whose status is older."
        ),
    )
    has_digest = models.BooleanField(
        _("daily digest"),
        default=False,
        db_default=False,
        help_text=_("Mail the contact once a day which EVSEs have a status that is hard to believe."),
    )
    offboarding_at = models.DateTimeField(
        null=True, editable=False, help_text=_("From then on uploads are refused; every EVSE is set REMOVED.")
    )
    offboarded_at = models.DateTimeField(null=True, editable=False, help_text=_("NDW had accepted all of it."))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")
        ordering = ["country_code", "party_id"]
        constraints = [
            models.UniqueConstraint(
                Upper("country_code"),
                Upper("party_id"),
                name="one_tenant_per_party",
                violation_error_message=_("This party exists."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}"

    def save(self, *args, **kwargs) -> None:
        """Store the party in capitals, as NDW shows it."""
        self.country_code, self.party_id = self.country_code.upper(), self.party_id.upper()
        super().save(*args, **kwargs)

    def owns(self, country_code: str, party_id: str) -> bool:
        """Return True when the pair is this tenant's own party; case does not matter.

        Source: OCPI 2.2.1 types, "CiString".
        """
        return (country_code.upper(), party_id.upper()) == (self.country_code, self.party_id)

    @contextlib.contextmanager
    def transaction(self, using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
        """Run every statement of one request or task for this tenant in one transaction.

        The one place where row-level security learns the tenant.
        """
        with transaction.atomic(using), sql.confined(self.pk, using):
            yield


class Membership(models.Model):
    """A user who belongs to a tenant: he sees that one and no other (`tenants.scope`)."""

    tenant = models.ForeignKey(
        Tenant, models.CASCADE, related_name="memberships", db_index=False, verbose_name=_("tenant")
    )
    user = models.ForeignKey(AUTH_USER, models.CASCADE, related_name="memberships", verbose_name=_("user"))

    class Meta:
        verbose_name = _("tenant user")
        verbose_name_plural = _("tenant users")
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} of {self.tenant}"


class ConnectionStep(models.Model):
    """One of NDW's nine connection steps that a person has ticked for a tenant.

    Source: NDW DOT-NL, "Connection steps"; protocol §7.1.
    """

    tenant = models.ForeignKey(
        Tenant, models.CASCADE, related_name="connection_steps", db_index=False, verbose_name=_("tenant")
    )
    number = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(9)])
    done_at = models.DateTimeField(default=timezone.now)
    done_by = models.ForeignKey(AUTH_USER, models.SET_NULL, null=True, related_name="+")
    note = models.CharField(_("note"), max_length=200, blank=True)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="connection_step_once")]

    def __str__(self) -> str:
        return f"{self.tenant} step {self.number}"


class CredentialQuerySet(models.QuerySet):
    """What tokens and OAuth clients have in common."""

    def live(self) -> "CredentialQuerySet":
        """Return those neither revoked nor expired."""
        return self.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)

    def of_usable_tenants(self) -> "CredentialQuerySet":
        """Return those of active tenants, and those for all tenants."""
        return self.filter(Q(tenant__is_active=True) | Q(tenant=None))


class Credential(models.Model):
    """Something secret a caller shows us: kept as a digest, found by it, shown once when made."""

    is_authenticated = True  # what DRF's IsAuthenticated asks of request.user
    purpose: str
    revoked_for_it: list["Credential"]  # which `issue` revoked
    LIVE_AT_A_TIME = 2  # the old one and its successor, while the other side changes over

    tenant = models.ForeignKey(
        Tenant,
        models.CASCADE,
        null=True,
        blank=True,
        related_name="%(class)ss",
        help_text=_("Empty: all tenants, later ones too."),
        verbose_name=_("tenant"),
    )
    digest = models.CharField(max_length=64, editable=False, db_index=True)
    environment = models.CharField(
        _("environment"),
        max_length=10,
        choices=Environment,
        blank=True,
        default="",
        db_default="",
        help_text=_("Which of NDW's environments pulls with it; empty: not told apart."),
    )
    note = models.CharField(
        _("note"), max_length=100, blank=True, help_text=_("Who has it, for example a system or a ticket number.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, help_text=_("Empty: until it is revoked."))
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = CredentialQuerySet.as_manager()

    class Meta:
        abstract = True
        ordering = ["-created_at", "-pk"]

    @property
    def is_live(self) -> bool:
        """Return True while the credential opens the door (its tenant's state apart)."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > timezone.now())

    @property
    def state(self) -> str:
        """Return `live`, `revoked` or `expired`."""
        return "revoked" if self.revoked_at else "live" if self.is_live else "expired"

    def covers(self, tenant: Tenant) -> bool:
        """Return True when this credential may see the tenant."""
        return self.tenant_id is None or self.tenant_id == tenant.pk

    def revoke(self) -> None:
        """Refuse the credential from now on."""
        self.revoked_at = timezone.now()
        self.save(update_fields=["revoked_at"])

    def issue(self) -> str:
        """Save this new credential and return its value, which cannot be shown again. A third live one revokes the oldest."""
        value, prefix = secrets.new_token(self.purpose)
        self.digest = secrets.digest(value)
        self._named(prefix)
        with transaction.atomic():
            self.revoked_for_it = list(self.surplus())
            surplus = [one.pk for one in self.revoked_for_it]
            type(self).objects.filter(pk__in=surplus).update(revoked_at=timezone.now())
            self.save()
        return value

    def surplus(self) -> models.QuerySet:
        """Return which live ones end when this new one is issued."""
        siblings = (
            type(self).objects.live().filter(self._siblings()).order_by("-created_at", "-pk").select_related("tenant")
        )
        return siblings[self.LIVE_AT_A_TIME - 1 :]

    def _named(self, prefix: str) -> None:
        """Keep the part of the value that may be seen."""
        raise NotImplementedError

    @property
    def shown_name(self) -> str:
        """Return the part of the value that may be seen."""
        raise NotImplementedError

    def _siblings(self) -> Q:
        """Say which credentials count together for LIVE_AT_A_TIME: one that is for no environment counts in each."""
        environments = Q(environment__in=["", self.environment]) if self.environment else Q()
        return Q(tenant=self.tenant) & environments

    def touch(self) -> None:
        """Note the use, at most once a minute: an upload must not pay for it with a write. Outside a transaction; never raise.

        NDW's pulls are answered also where nothing can be written: by a primary that only reads, or on a full disk.
        """
        now = timezone.now()
        if self.last_used_at and now - self.last_used_at <= dt.timedelta(minutes=1):
            return
        try:
            type(self).objects.filter(pk=self.pk).update(last_used_at=now)
        except DatabaseError as error:
            _note_uses(are_written=False, why=" ".join(str(error).split()))
            if not connection.is_usable():
                connection.close()  # what comes next makes a new one
        else:
            _note_uses(are_written=True)


_are_uses_written = True


def _note_uses(*, are_written: bool, why: str = "") -> None:
    """Say once that uses are not noted, not at every request till it is over."""
    global _are_uses_written
    if _are_uses_written and not are_written:
        logger.warning("last use of credentials: not noted: %s", why)
    _are_uses_written = are_written


class Token(Credential):
    """A credentials token: a CPO uploads with it, or NDW pulls with it.

    Source: OCPI 2.2.1 transport_and_format, "Authorization header".
    """

    class Purpose(models.TextChoices):
        """Which of the two doors the token opens."""

        UPLOAD = "upload", _("Upload (CPO)")
        PULL = "pull", _("Pull (NDW)")

    purpose = models.CharField(_("purpose"), max_length=6, choices=Purpose)
    prefix = models.CharField(_("begins with"), max_length=20, editable=False)

    class Meta(Credential.Meta):
        verbose_name = _("token")
        verbose_name_plural = _("tokens")
        constraints = [
            models.CheckConstraint(
                condition=Q(tenant__isnull=False) | Q(purpose="pull"),
                name="upload_token_has_a_tenant",
                violation_error_message=_("An upload token belongs to one tenant."),
            )
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.tenant or 'all tenants'})"

    def _named(self, prefix: str) -> None:
        self.prefix = prefix

    @property
    def shown_name(self) -> str:
        """Return how the token begins."""
        return self.prefix

    def _siblings(self) -> Q:
        return super()._siblings() & Q(purpose=self.purpose)

    def clean(self) -> None:
        """Refuse an environment for what no NDW pulls with."""
        if self.environment and self.purpose != self.Purpose.PULL:
            raise ValidationError({"environment": _("Only a pull token has one.")})


class OAuthClient(Credential):
    """A client of our token endpoint: NDW's other way to pull.

    Source: NDW DOT-NL, "Pull", OAuth2 client credentials.
    """

    purpose = Token.Purpose.PULL

    client_id = models.CharField(_("client id"), max_length=64, unique=True, editable=False)
    not_before = models.DateTimeField(
        default=timezone.now, help_text=_("Access tokens issued before this moment are refused.")
    )

    class Meta(Credential.Meta):
        verbose_name = _("OAuth2 client")
        verbose_name_plural = _("OAuth2 clients")

    def __str__(self) -> str:
        return f"{self.client_id} ({self.tenant or 'all tenants'})"

    def end_access_tokens(self) -> None:
        """Refuse every access token it has; it may fetch another. (Theirs count in whole seconds.)"""
        self.not_before = timezone.now().replace(microsecond=0) + dt.timedelta(seconds=1)
        self.save(update_fields=["not_before"])

    def _named(self, prefix: str) -> None:
        self.client_id = prefix

    @property
    def shown_name(self) -> str:
        """Return the client id."""
        return self.client_id


class ServiceAccount(models.Model):
    """Our client at NDW's IAM server; one account may deliver for many tenants.

    Source: NDW DOT-NL, "Push", service account for DOT-NL data submission.
    """

    name = models.CharField(_("name"), max_length=100, unique=True)
    environment = models.CharField(_("environment"), max_length=10, choices=Environment)
    token_url = models.URLField(_("token URL"), max_length=255, help_text=_("Where access tokens are fetched."))
    client_id = models.CharField(_("client id"), max_length=255)
    client_secret_sealed = models.TextField(editable=False, default="")
    access_token_sealed = models.TextField(editable=False, default="")
    access_token_expires_at = models.DateTimeField(null=True, editable=False)
    access_token_renew_at = models.DateTimeField(null=True, editable=False)
    fetching_until = models.DateTimeField(
        null=True, editable=False, help_text=_("Somebody is fetching a token till then.")
    )

    class Meta:
        verbose_name = _("service account")
        verbose_name_plural = _("service accounts")
        ordering = ["environment", "name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.environment})"

    def _bound_to(self, field: str) -> str:
        return f"serviceaccount|{field}|{self.pk}"

    def set_client_secret(self, plain: str) -> None:
        """Seal a new secret and forget the access token the old one fetched; saves a new row, of an old one only these."""
        if self.pk is None:
            self.save()
        self.client_secret_sealed = secrets.encrypt(plain, self._bound_to("client_secret"))
        self.save(update_fields=["client_secret_sealed"])
        self.forget_access_token()

    def forget_access_token(self) -> None:
        """Have the next worker fetch a new one: the client, its secret or the token URL changed."""
        self.access_token_sealed, self.access_token_expires_at, self.access_token_renew_at = "", None, None
        self.save(update_fields=["access_token_sealed", "access_token_expires_at", "access_token_renew_at"])

    @property
    def client_secret(self) -> str:
        """Return the secret in the clear, for the call to NDW's IAM only."""
        return secrets.decrypt(self.client_secret_sealed, self._bound_to("client_secret"))

    def seal_access_token(self, plain: str) -> str:
        """Return the ciphertext under which an access token is shared between workers."""
        return secrets.encrypt(plain, self._bound_to("access_token"))

    @property
    def access_token(self) -> str:
        """Return the shared access token in the clear, or ""."""
        if not self.access_token_sealed:
            return ""
        return secrets.decrypt(self.access_token_sealed, self._bound_to("access_token"))


class Connection(models.Model):
    """Deliver one tenant's changes to one environment of NDW.

    A Connection pauses itself when NDW refuses it as such (credentials, URL, certificate, party); a person resumes it. A
    target that does not answer opens the circuit: until `probe_at` nothing is sent, then one request tries. Once it is
    answered, `probe_at` is when: the rate grows from there.
    """

    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="connections", verbose_name=_("tenant"))
    environment = models.CharField(_("environment"), max_length=10, choices=Environment)
    service_account = models.ForeignKey(
        ServiceAccount, models.PROTECT, related_name="connections", verbose_name=_("service account")
    )
    push_url = models.URLField(
        _("push URL"),
        max_length=255,
        help_text=_("What NDW gave: the part before /locations/… and /tariffs/…"),
    )
    is_paused = models.BooleanField(_("paused"), default=False)
    paused_at = models.DateTimeField(null=True, blank=True, editable=False)
    pause_reason = models.CharField(_("reason"), max_length=500, blank=True)
    is_retired = models.BooleanField(
        _("retired"), default=False, help_text=_("Nothing is sent any more; the history stays.")
    )
    failures = models.PositiveIntegerField(
        default=0, editable=False, help_text=_("Requests in a row without an answer.")
    )
    probe_at = models.DateTimeField(null=True, editable=False)
    same_refusals = models.PositiveIntegerField(default=0, editable=False)
    refusal_kind = models.CharField(max_length=40, blank=True, editable=False)
    allowance = models.FloatField(default=0, editable=False, help_text=_("Requests the rate cap still allows."))
    allowance_at = models.DateTimeField(default=timezone.now, editable=False)
    needs_spreading = models.BooleanField(default=True, editable=False, help_text=_("Push rows are still to be made."))
    spread_for = models.CharField(
        max_length=255, blank=True, editable=False, help_text=_("The push URL that the Push rows speak of.")
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("connection")
        verbose_name_plural = _("connections")
        ordering = ["tenant", "environment"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "environment"], name="one_connection_per_tenant_environment")
        ]

    def __str__(self) -> str:
        return f"{self.tenant} → {self.environment}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Note whom the first Push rows will speak of; a later push URL makes `ocpi.backlog` start over."""
        if self._state.adding:
            self.spread_for = self.push_url
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse an account of the other environment."""
        if self.service_account_id and self.service_account.environment != self.environment:
            error = _("This account is for %(its)s, the Connection for %(own)s.")
            words = {"its": self.service_account.environment, "own": self.environment}
            raise ValidationError({"service_account": error % words})

    @property
    def state(self) -> str:
        """Return `sending`, `no answer` (its last requests got none), `paused` or `retired`."""
        if self.is_retired:
            return "retired"
        if self.is_paused:
            return "paused"
        return "no answer" if self.failures else "sending"

    def pause(self, reason: str) -> None:
        """Send nothing more until somebody resumes; changes go on being noted. The reason may quote a stranger."""
        type(self).objects.filter(pk=self.pk, is_paused=False).update(
            is_paused=True, paused_at=timezone.now(), pause_reason=reason.replace("\0", "�")[:500]
        )

    def resume(self) -> None:
        """Send again, with a closed circuit and no memory of refusals."""
        type(self).objects.filter(pk=self.pk).update(
            is_paused=False,
            paused_at=None,
            pause_reason="",
            failures=0,
            probe_at=None,
            same_refusals=0,
            refusal_kind="",
        )
