"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.processes.checks import *
from opsnb.systems.processes.growing import *
from opsnb.systems.processes.listing import *
from opsnb.systems.processes.process import *
from opsnb.systems.processes.programs import *
from opsnb.systems.processes.restarting import *
from opsnb.systems.processes.scaling import *
