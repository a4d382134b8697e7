"""Faults of the demo stack: each really breaks something, and you can clear it."""

from opsnb.demo.faults.fault import Fault as Fault
from opsnb.demo.faults.fault import see as see
from opsnb.demo.faults.injecting import active as active
from opsnb.demo.faults.injecting import clear as clear
from opsnb.demo.faults.injecting import hang_again as hang_again
from opsnb.demo.faults.injecting import hanging as hanging
from opsnb.demo.faults.injecting import held as held
from opsnb.demo.faults.injecting import inject as inject
from opsnb.demo.faults.known import ANY as ANY
from opsnb.demo.faults.known import FAULTS as FAULTS
from opsnb.demo.faults.known import all_drills as all_drills
from opsnb.demo.faults.known import all_faults as all_faults
from opsnb.demo.faults.known import drill as drill
