"""Image classification: a whole image in, the most probable classes out."""

from hrnet_deploy.registry import TaskEntry
from hrnet_deploy.tasks.classification.labels import ImageClasses

ENTRY = TaskEntry(
    name="classification",
    implementation="hrnet_deploy.tasks.classification.task:ClassificationTask",
    metric="top-1",
    labels=ImageClasses,
    label_kind="classes",
    label_word="class",
    default_card="cls_hrnet_w32_imagenet_224x224",
    options=frozenset({"--category"}),
    embedding="hrnet_deploy.tasks.classification.graph:embedding",
    trained="hrnet_deploy.tasks.classification.trained:from_file",
    training="hrnet_deploy.tasks.classification.training:TRAINING",
)
