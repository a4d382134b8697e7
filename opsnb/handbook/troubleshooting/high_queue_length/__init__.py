"""Why a queue is long: nobody works, jobs are held back, hang or are slow, or there are too many.

Handbook, section 5.1.
"""

from opsnb.handbook.troubleshooting.high_queue_length.holds import held_back as held_back
from opsnb.handbook.troubleshooting.high_queue_length.holds import paused as paused
from opsnb.handbook.troubleshooting.high_queue_length.work import length as length
from opsnb.handbook.troubleshooting.high_queue_length.work import slow_jobs as slow_jobs
from opsnb.handbook.troubleshooting.high_queue_length.work import too_much_work as too_much_work
from opsnb.handbook.troubleshooting.high_queue_length.workers import hung as hung
from opsnb.handbook.troubleshooting.high_queue_length.workers import no_worker as no_worker
from opsnb.handbook.troubleshooting.high_queue_length.workers import standstill as standstill
from opsnb.handbook.troubleshooting.high_queue_length.workers import stuck as stuck
