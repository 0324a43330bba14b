"""The demo models by the names of their cards."""

from __future__ import annotations

NAME = "pose_hrnet_w16_demo_128x96"
