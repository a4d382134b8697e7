"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.api.checks import *
from opsnb.systems.api.connecting import *
from opsnb.systems.api.reported_queues import *
from opsnb.systems.api.responses import *
