"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.dependencies.asking import *
from opsnb.systems.dependencies.starting import *
