"""What notebooks call: every public name of these modules."""

from opsnb_rabbitmq.checks import *
from opsnb_rabbitmq.purging import *
