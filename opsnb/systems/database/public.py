"""What notebooks and the other parts of opsnb call: every public name of these modules."""

from opsnb.systems.database.analyzing import *
from opsnb.systems.database.commands import *
from opsnb.systems.database.connecting import *
from opsnb.systems.database.creating import *
from opsnb.systems.database.ending import *
from opsnb.systems.database.explaining import *
from opsnb.systems.database.failures import *
from opsnb.systems.database.index_validity import *
from opsnb.systems.database.long_running import *
from opsnb.systems.database.memory import *
from opsnb.systems.database.performance import *
from opsnb.systems.database.plans import *
from opsnb.systems.database.programs import *
from opsnb.systems.database.readiness import *
from opsnb.systems.database.recovery.dumping import *
from opsnb.systems.database.recovery.proving import *
from opsnb.systems.database.recovery.restoring import *
from opsnb.systems.database.reindexing import *
from opsnb.systems.database.room import *
from opsnb.systems.database.sessions import *
