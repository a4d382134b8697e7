"""What uses the memory: a process, with a leak or without, Redis, PostgreSQL, or others.

Handbook, section 5.4. A leak shows as growth while it is watched, or, when it is slow, over the
records of the daily check; V8 names neither the heap's owner nor the leak itself.
"""

from opsnb.handbook.troubleshooting.memory.leaks import creeping as creeping
from opsnb.handbook.troubleshooting.memory.leaks import heap_full as heap_full
from opsnb.handbook.troubleshooting.memory.leaks import leaking as leaking
from opsnb.handbook.troubleshooting.memory.users import large as large
from opsnb.handbook.troubleshooting.memory.users import others as others
from opsnb.handbook.troubleshooting.memory.users import postgres as postgres
from opsnb.handbook.troubleshooting.memory.users import redis as redis
from opsnb.handbook.troubleshooting.memory.watched import over_time as over_time
from opsnb.handbook.troubleshooting.memory.watched import watch as watch
