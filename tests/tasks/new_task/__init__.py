"""A task and a network that the package does not know: whether an image is dark or bright.

All of it is in this folder. Importing it adds one line to each table of `hrnet_deploy.registry`.
"""

from pathlib import Path

from hrnet_deploy.registry import FamilyEntry, TaskEntry, register_family, register_task
from hrnet_deploy.tasks.classes import Classes

ENTRY = TaskEntry(
    name="brightness",
    implementation=f"{__name__}.task:BrightnessTask",
    metric="accuracy",
    labels=Classes,
    label_kind="classes",
    label_word="class",
    default_card=str(Path(__file__).with_name("brightness.yaml")),
    embedding=f"{__name__}.task:embedding",
)

register_task(ENTRY)
register_family(
    "brightness_net",
    FamilyEntry(
        architecture=f"{__name__}.architecture:BrightnessNet",
        module=f"{__name__}.network:BrightnessNet",
        recogniser=f"{__name__}.architecture:recognise",
    ),
)
