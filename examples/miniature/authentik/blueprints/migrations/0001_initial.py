import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='BlueprintInstance',
            fields=[
                ('uuid', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.TextField()),
                ('path', models.TextField(unique=True)),
                ('last_applied_hash', models.TextField(blank=True, default='')),
                ('last_applied', models.DateTimeField(auto_now=True)),
                ('status', models.CharField(choices=[('successful', 'Successful'), ('error', 'Error')], max_length=16)),
            ],
            options={
                'ordering': ['path'],
            },
        ),
    ]
