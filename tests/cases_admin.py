"""Every page of the admin and who gets what there. A page that is not in the table fails `test_admin_roles`."""

# GET by: staff in no group | a reader | a tenant user, of his own tenant | the same, of another's | an operator.
# "-": the page is about no object, so nobody's. Anonymous visitors are sent to the login page by all of them but it.
_TABLE = """
index                                     200 200 200   - 200
search                                    200 200 200   - 200
password_change                           200 200 200   - 200
password_change_done                      200 200 200   - 200
autocomplete                              403 403 403   - 403
jsi18n                                    200 200 200   - 200
view_on_site                              404 404 404 404 404
app_list                                  404 200 200   - 200

tenants_tenant_changelist                 403 200 200   - 200
tenants_tenant_add                        403 403 403   - 200
tenants_tenant_change                     403 200 200 404 200
tenants_tenant_history                    403 200 200 404 200
tenants_tenant_delete                     403 403 403 404 403
tenants_tenant_issue_upload_token         403 403 302 404 302
tenants_tenant_issue_pull_token           403 403 403 404 302
tenants_tenant_issue_oauth_client         403 403 403 404 302
tenants_tenant_connect                    403 403 403 404 302
tenants_tenant_offboard                   403 403 403 404 302
tenants_tenant_workplace                  403 200 200 404 200
tenants_tenant_tick                       403 403 403 403 405
tenants_tenant_hand_over                  403 200 200 404 200

tenants_token_changelist                  403 200 200   - 200
tenants_token_add                         403 403 200   - 200
tenants_token_change                      403 200 200 404 200
tenants_token_history                     403 200 200 404 200
tenants_token_delete                      403 403 403 404 403
tenants_token_revoke_this                 403 403 200 404 200

tenants_oauthclient_changelist            403 200 200   - 200
tenants_oauthclient_add                   403 403 403   - 200
tenants_oauthclient_change                403 200 200 404 200
tenants_oauthclient_history               403 200 200 404 200
tenants_oauthclient_delete                403 403 403 404 403
tenants_oauthclient_revoke_this           403 403 403 404 200
tenants_oauthclient_end_access_tokens     403 403 403 404 200

tenants_serviceaccount_changelist         403 200 403   - 200
tenants_serviceaccount_add                403 403 403   - 200
tenants_serviceaccount_change             403 200 403 403 200
tenants_serviceaccount_history            403 200 403 403 200
tenants_serviceaccount_delete             403 403 403 403 200

tenants_connection_changelist             403 200 200   - 200
tenants_connection_add                    403 403 403   - 200
tenants_connection_change                 403 200 200 404 200
tenants_connection_history                403 200 200 404 200
tenants_connection_delete                 403 403 403 404 403
tenants_connection_pause_this             403 403 403 404 200
tenants_connection_resume_this            403 403 403 404 200

tenants_membership_changelist             403 200 403   - 200
tenants_membership_add                    403 403 403   - 200
tenants_membership_change                 403 200 403 403 200
tenants_membership_history                403 200 403 403 200
tenants_membership_delete                 403 403 403 403 200

auth_user_changelist                      403 403 403   - 403
auth_user_add                             403 403 403   - 403
auth_user_change                          403 403 403 403 403
auth_user_history                         403 403 403 403 403
auth_user_delete                          403 403 403 403 403
auth_user_password_change                 403 403 403 403 403

auth_group_changelist                     403 403 403   - 403
auth_group_add                            403 403 403   - 403
auth_group_change                         403 403 403 403 403
auth_group_history                        403 403 403 403 403
auth_group_delete                         403 403 403 403 403

admin_logentry_changelist                 403 200 403   - 200
admin_logentry_add                        403 403 403   - 403
admin_logentry_change                     403 200 403 403 200
admin_logentry_history                    403 200 403 403 200
admin_logentry_delete                     403 403 403 403 403

ocpi_problems                             403 200 200   - 200
ocpi_problems_cpo                         403 200 200 404 200

ocpi_location_changelist                  403 200 200   - 200
ocpi_location_add                         403 403 403   - 403
ocpi_location_change                      403 200 200 404 200
ocpi_location_history                     403 200 200 404 200
ocpi_location_delete                      403 403 403 404 403
ocpi_location_versions                    403 200 200 404 200
ocpi_location_document                    403 200 200 404 200

ocpi_map                                  403 200 200   - 200
ocpi_map_points                           403 400 400   - 400

ocpi_offboard                             403 403 403 403 200
ocpi_offboard_progress                    403 403 403 403 200
ocpi_offboard_proof                       403 403 403 403 404

ocpi_tariff_changelist                    403 200 200   - 200
ocpi_tariff_add                           403 403 403   - 403
ocpi_tariff_change                        403 200 200 404 200
ocpi_tariff_history                       403 200 200 404 200
ocpi_tariff_delete                        403 403 403 404 403
ocpi_tariff_versions                      403 200 200 404 200
ocpi_tariff_document                      403 200 200 404 200

ocpi_uploadhour_changelist                403 200 200   - 200
ocpi_uploadhour_add                       403 403 403   - 403
ocpi_uploadhour_change                    403 200 200 404 200
ocpi_uploadhour_history                   403 200 200 404 200
ocpi_uploadhour_delete                    403 403 403 404 403

ocpi_watched_changelist                   403 200 200   - 200
ocpi_watched_add                          403 403 403   - 403
ocpi_watched_change                       403 200 200 404 200
ocpi_watched_history                      403 200 200 404 200
ocpi_watched_delete                       403 403 403 404 403

ocpi_import_changelist                    403 200 200   - 200
ocpi_import_add                           403 403 403   - 403
ocpi_import_change                        403 200 200 404 200
ocpi_import_history                       403 200 200 404 200
ocpi_import_delete                        403 403 403 404 403
ocpi_import_progress                      403 200 200 404 200
ocpi_import_results                       403 200 200 404 200
ocpi_import_template                      403 200 200   - 200
ocpi_import_decide                        403 403 403 403 405
ocpi_import_upload                        403 403 403   - 200

ocpi_source_changelist                    403 200 200   - 200
ocpi_source_add                           403 403 403   - 200
ocpi_source_change                        403 200 200 404 200
ocpi_source_history                       403 200 200 404 200
ocpi_source_delete                        403 403 403 404 200
ocpi_source_test_this                     403 403 403 404 200
ocpi_source_fetch_changes_of_this         403 403 403 404 200
ocpi_source_fetch_everything_of_this      403 403 403 404 200

ocpi_waiting                              403 200 200   - 200
ocpi_resend                               403 403 403 403 200
ocpi_minute                               403 200 200   - 200
ocpi_minute_connection                    403 200 200 404 200
ocpi_minute_proof                         403 200 200 404 200

ocpi_push_changelist                      403 200 200   - 200
ocpi_push_add                             403 403 403   - 403
ocpi_push_change                          403 200 200 404 200
ocpi_push_history                         403 200 200 404 200
ocpi_push_delete                          403 403 403 404 403
ocpi_push_push_this_now                   403 403 403 404 200

ocpi_pushattempt_changelist               403 200 200   - 200
ocpi_pushattempt_add                      403 403 403   - 403
ocpi_pushattempt_change                   403 200 200 404 200
ocpi_pushattempt_history                  403 200 200 404 200
ocpi_pushattempt_delete                   403 403 403 404 403
"""
ROLES = ("nobody", "reader", "own", "rival", "operator")
PAGES = {
    name: dict(zip(ROLES, cells, strict=True)) for name, *cells in map(str.split, filter(None, _TABLE.splitlines()))
}
NOT_PAGES = {"login", "logout"}

# Pages of `pk` are about one of these, by how their names begin; pages of `object_id` are about their own model's.
PK_OF = {
    "ocpi_minute": "connection",
    "ocpi_resend": "connection",
    "ocpi_import": "import",
    "ocpi_location": "location",
    "ocpi_tariff": "tariff",
}
OTHER_ARGUMENTS = {"month": "2026-11", "form": "csv", "app_label": "tenants", "number": "1", "audience": "ndw"}

# What a POST may carry to every page, and what `do` may ask there: whatever any page takes belongs here.
DEEDS = ["push", "pause", "resume", "accept", "discard"]
FORM = {
    "_form_submitted": "True", "post": "yes", "reason": "taken over", "cause": "OCPI 2001: no such operator",
    "purpose": "pull", "note": "taken over", "name": "taken over", "country_code": "NL", "party_id": "NEW",
    "brake_percent": "99", "environment": "staging", "push_url": "http://127.0.0.1:9/taken-over", "is_retired": "on",
    "token_url": "http://127.0.0.1:9/taken-over", "client_id": "taken-over", "client_secret": "taken-over",
    "url": "http://127.0.0.1:9/taken-over", "token": "taken-over", "token_form": "raw", "every_s": "60", "full_at": "02:30",
    "username": "taken-over", "password1": "correct-horse-9", "password2": "correct-horse-9", "usable_password": "true",
    "is_staff": "on", "is_superuser": "on", "is_active": "on", "kind": "location", "mode": "full", "gone": "0",
}  # fmt: skip
