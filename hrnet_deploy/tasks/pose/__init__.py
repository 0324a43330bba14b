"""Top-down pose estimation: a crop of one person in, keypoints in pixels of the image out."""

from hrnet_deploy.registry import TaskEntry
from hrnet_deploy.tasks.pose.labels import Keypoints

ENTRY = TaskEntry(
    name="pose",
    implementation="hrnet_deploy.tasks.pose.kinds:pose_task",
    metric="AP",
    labels=Keypoints,
    label_kind="keypoints",
    label_word="keypoint",
    default_card="pose_hrnet_w32_256x192",
    options=frozenset({"--flip-test", "--boxes", "--decode", "--geometry", "--category"}),
    embedding="hrnet_deploy.tasks.pose.kinds:embedding",
    adoption="hrnet_deploy.tasks.pose.graph:ADOPTION",
    training="hrnet_deploy.tasks.pose.training:TRAINING",
    trained="hrnet_deploy.tasks.pose.trained:from_file",
)
