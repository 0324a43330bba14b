"""Landmarks of faces: a crop of one face in, landmarks in pixels of the image out. An ordinary case of the pose task,
with another rule of decoding, crops by centre and scale, and the metric of faces."""

from hrnet_deploy.registry import TaskEntry
from hrnet_deploy.tasks.landmarks.labels import Landmarks

ENTRY = TaskEntry(
    name="landmarks",
    implementation="hrnet_deploy.tasks.landmarks.task:LandmarkTask",
    metric="NME",
    labels=Landmarks,
    label_kind="landmarks",
    label_word="landmark",
    default_card="face_hrnetv2_w18_300w_256x256",
    options=frozenset({"--flip-test", "--boxes", "--decode", "--geometry", "--category"}),
    embedding="hrnet_deploy.tasks.pose.graph:embedding",
    adoption="hrnet_deploy.tasks.pose.graph:ADOPTION",
    training="hrnet_deploy.tasks.pose.training:TRAINING",
    trained="hrnet_deploy.tasks.landmarks.trained:from_file",
)
