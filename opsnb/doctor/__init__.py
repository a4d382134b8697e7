"""`opsnb doctor`: whether a target can be reached, is complete and safe to operate."""

from opsnb.doctor.examination import Verdict as Verdict
from opsnb.doctor.examination import examine as examine
from opsnb.doctor.examination import report as report
