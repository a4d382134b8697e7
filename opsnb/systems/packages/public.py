"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.packages.checks import *
