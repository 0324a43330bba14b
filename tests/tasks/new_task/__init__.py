"""A task and a network that the package does not know: whether an image is dark or bright.

All of it is in this folder. Importing it adds one line to each table of `hrnet_deploy.registry`.
"""

from pathlib import Path

from hrnet_deploy.registry import FamilyEntry, TaskEntry, register_family, register_task
from hrnet_deploy.tasks.classes import Classes

ENTRY = TaskEntry(
    name="brightness",
    implementation="new_task.task:BrightnessTask",
    metric="accuracy",
    labels=Classes,
    label_kind="classes",
    label_word="class",
    default_card=str(Path(__file__).with_name("brightness.yaml")),
    embedding="new_task.task:embedding",
)

register_task(ENTRY)
register_family(
    "brightness_net",
    FamilyEntry("new_task.architecture:BrightnessNet", "new_task.network:BrightnessNet", "new_task.architecture:recognise"),
)
