"""Why there are many errors: a release, what the service depends on, an upstream service, its code.

Handbook, section 6.2. Errors are grouped by what they say, without numbers and ids; when a group
began is compared with when processes were started and when Redis or PostgreSQL was lost.
"""

from opsnb.handbook.incidents.high_error_rate.causes import code as code
from opsnb.handbook.incidents.high_error_rate.causes import postgres as postgres
from opsnb.handbook.incidents.high_error_rate.causes import redis as redis
from opsnb.handbook.incidents.high_error_rate.causes import upstream as upstream
from opsnb.handbook.incidents.high_error_rate.changes import deployed as deployed
from opsnb.handbook.incidents.high_error_rate.changes import started as started
from opsnb.handbook.incidents.high_error_rate.failing import failed_requests as failed_requests
from opsnb.handbook.incidents.high_error_rate.failing import failing_jobs as failing_jobs
from opsnb.handbook.incidents.high_error_rate.symptom import events as events
from opsnb.handbook.incidents.high_error_rate.symptom import over_time as over_time
from opsnb.handbook.incidents.high_error_rate.symptom import rate as rate
from opsnb.handbook.incidents.high_error_rate.window import Window as Window
