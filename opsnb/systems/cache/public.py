"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.cache.checks import *
from opsnb.systems.cache.clearing import *
from opsnb.systems.cache.connecting import *
from opsnb.systems.cache.key_families import *
from opsnb.systems.cache.lookups import *
from opsnb.systems.cache.refusals import *
from opsnb.systems.cache.server import *
from opsnb.systems.cache.stored_keys import *
from opsnb.systems.cache.tallies import *
from opsnb.systems.cache.traffic import *
from opsnb.systems.cache.warming import *
from opsnb.systems.cache.workload import *
