"""`opsnb doctor`: whether a target can be reached, is complete and safe to operate."""

from opsnb.doctor.examination import Verdict, examine, report

__all__ = ["Verdict", "examine", "report"]
