"""Object detection: a whole image in, boxes with a class and a score out."""

from hrnet_deploy.registry import TaskEntry
from hrnet_deploy.tasks.classes import Classes

ENTRY = TaskEntry(
    name="detection",
    implementation="hrnet_deploy.tasks.detection.task:DetectionTask",
    metric="AP",
    labels=Classes,
    label_kind="classes",
    label_word="class",
    default_card="faster_rcnn_hrnetv2p_w32_800x1344",
    options=frozenset({"--upright", "--category"}),
    adoption="hrnet_deploy.tasks.detection.graph:adoption",
    training="hrnet_deploy.tasks.detection.training:TRAINING",
)
