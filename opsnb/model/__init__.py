"""What a run produces: findings, actions, and the result that sums them up.

These are the shapes of `result.json` and of the MIME types in an executed notebook, so a change
here changes what is stored. Fields may be added; they are never renamed.
"""

from opsnb.model.action import ActionRecord as ActionRecord
from opsnb.model.action import ActionState as ActionState
from opsnb.model.finding import Coverage as Coverage
from opsnb.model.finding import Evidence as Evidence
from opsnb.model.finding import Finding as Finding
from opsnb.model.finding import Remedy as Remedy
from opsnb.model.finding import Row as Row
from opsnb.model.finding import now as now
from opsnb.model.outputs import ACTION_MIME as ACTION_MIME
from opsnb.model.outputs import FINDING_MIME as FINDING_MIME
from opsnb.model.outputs import FINDINGS_MIME as FINDINGS_MIME
from opsnb.model.outputs import PROGRESS_MIME as PROGRESS_MIME
from opsnb.model.outputs import SESSION_KEY as SESSION_KEY
from opsnb.model.outputs import TABLE_MIME as TABLE_MIME
from opsnb.model.outputs import TARGET_KEY as TARGET_KEY
from opsnb.model.outputs import Table as Table
from opsnb.model.result import RunResult as RunResult
from opsnb.model.result import Seal as Seal
from opsnb.model.result import status_of as status_of
from opsnb.model.result import superseded as superseded
from opsnb.model.status import Status as Status
from opsnb.model.status import worst as worst
from opsnb.model.threshold import Threshold as Threshold
