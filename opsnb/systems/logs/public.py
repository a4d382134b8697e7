"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.logs.access import *
from opsnb.systems.logs.clearing import *
from opsnb.systems.logs.error_lines import *
