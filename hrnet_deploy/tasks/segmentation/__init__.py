"""Semantic segmentation: a whole image in, the class of every pixel out."""

from hrnet_deploy.registry import TaskEntry
from hrnet_deploy.tasks.classes import Classes

ENTRY = TaskEntry(
    name="segmentation",
    implementation="hrnet_deploy.tasks.segmentation.multi_scale:segmentation_task",
    metric="mIoU",
    labels=Classes,
    label_kind="classes",
    label_word="class",
    default_card="seg_hrnetv2_w48_pascal_context_480x480",
    options=frozenset({"--flip-test", "--scales"}),
    embedding="hrnet_deploy.tasks.segmentation.graph:embedding",
    adoption="hrnet_deploy.tasks.segmentation.graph:ADOPTION",
    training="hrnet_deploy.tasks.segmentation.training:TRAINING",
    label_maps=True,
)
