"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.queues.active import *
from opsnb.systems.queues.backlog import *
from opsnb.systems.queues.checks import *
from opsnb.systems.queues.cleaning import *
from opsnb.systems.queues.connection import *
from opsnb.systems.queues.failing import *
from opsnb.systems.queues.jobs import *
from opsnb.systems.queues.levels import *
from opsnb.systems.queues.limiting import *
from opsnb.systems.queues.metrics import *
from opsnb.systems.queues.pausing import *
from opsnb.systems.queues.removing import *
from opsnb.systems.queues.retrying import *
from opsnb.systems.queues.workload import *
