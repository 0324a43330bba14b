"""The tasks by name: `task_entry(name)` finds one, `register(entry)` adds one.

The table itself is in `hrnet_deploy.registry`, so that packages below this one can read it.
"""

from hrnet_deploy.registry import TASK_OPTIONS, TaskEntry, task_entry, task_names
from hrnet_deploy.registry import register_task as register

__all__ = ["TASK_OPTIONS", "TaskEntry", "register", "task_entry", "task_names"]
