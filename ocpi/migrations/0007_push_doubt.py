"""Until when an earlier request may still arrive and undo what NDW has."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0006_attempt_history")]

    operations = [
        migrations.AddField(
            model_name="push",
            name="doubt_until",
            field=models.DateTimeField(
                help_text="So long an earlier request may still arrive; then NDW gets the present state once more.",
                null=True,
            ),
        ),
        migrations.AddIndex(
            model_name="push",
            index=models.Index("doubt_until", condition=models.Q(("doubt_until__isnull", False)), name="push_doubt"),
        ),
    ]
