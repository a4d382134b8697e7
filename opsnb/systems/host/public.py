"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.host.df import *
from opsnb.systems.host.disks import *
from opsnb.systems.host.ram import *
from opsnb.systems.host.running import *
from opsnb.systems.host.vitals import *
from opsnb.systems.host.volumes import *
