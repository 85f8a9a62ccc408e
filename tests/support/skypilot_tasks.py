"""Reads tasks with SkyPilot, in an environment of its own: its pins are not ours.

Takes tasks as JSON, one a line, from standard input, and answers with a line each: the task's name and what it mounts,
or ``refused`` and why.
"""

import json
import sys

import sky

for line in sys.stdin:
    try:
        task = sky.Task.from_yaml_config(json.loads(line))
    except Exception as error:
        answer = {'refused': str(error)}
    else:
        (resources,) = task.resources
        answer = {'name': task.name, 'use_spot': resources.use_spot, 'mounts': sorted(task.storage_mounts)}
    print(json.dumps(answer), flush=True)
