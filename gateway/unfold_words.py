"""What Unfold says on the pages that are used here: it has no Dutch, so its words stand among ours. Nobody imports this.

Django's own words have theirs. `make messages` finds these by their marks.
"""

from django.utils.translation import gettext_noop, ngettext_lazy

WORDS = [
    *(gettext_noop("Select record"), gettext_noop("Select action"), gettext_noop("Select action to run")),
    *(gettext_noop("Collapse"), gettext_noop("Expand row"), gettext_noop("From"), gettext_noop("To")),
    *(gettext_noop("Date"), gettext_noop("Date from"), gettext_noop("Date to"), gettext_noop("Not enough data.")),
    *(gettext_noop("Add new item"), gettext_noop("Add row"), gettext_noop("Edit"), gettext_noop("Submit")),
    *(
        gettext_noop("Select value"),
        gettext_noop("Run"),
        gettext_noop("Welcome back to"),
        gettext_noop("Type to search"),
    ),
    *(gettext_noop("You have been successfully logged out from the administration"), gettext_noop("No data")),
    *(gettext_noop("More actions"), gettext_noop("All applications"), gettext_noop("True"), gettext_noop("False")),
    *(gettext_noop("Apply Filters"), gettext_noop("Select all rows"), gettext_noop("Reset filters")),
    *(gettext_noop("Recent searches"), gettext_noop("No recent searches"), gettext_noop("No results found")),
    *(gettext_noop("No results matching your query"), gettext_noop("Loading more results...")),
    *(gettext_noop("Cancel"), gettext_noop("Click to cancel"), gettext_noop("This item will be deleted.")),
    gettext_noop("This page yielded into no results. Create a new item or reset your filters."),
    gettext_noop("After you've created a user, you’ll be able to edit more user options."),  # noqa: RUF001 - theirs
    gettext_noop("Dataset not found. No action performed."),
    gettext_noop(
        "Raw passwords are not stored, so there is no way to see this user’s password, but you can change the password "  # noqa: RUF001
        'using <a href="{}" class="text-primary-600 dark:text-primary-500">this form</a>.'
    ),
    *(gettext_noop("Go back"), gettext_noop("Previous"), gettext_noop("Next"), gettext_noop("Return to site")),
    *(gettext_noop("Search apps and models..."), gettext_noop("General"), gettext_noop("Light"), gettext_noop("Dark")),
    *(gettext_noop("System"), gettext_noop("Choose file to upload"), gettext_noop("Toggle password visibility")),
    *(gettext_noop("Record picture"), gettext_noop("Image preview"), gettext_noop("Click to download")),
]
RESULTS = ngettext_lazy(
    "\n                Found %(counter)s result in %(time)s seconds\n            ",
    "\n                Found %(counter)s results in %(time)s seconds\n            ",
    "counter",
)
