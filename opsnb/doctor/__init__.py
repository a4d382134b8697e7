"""`opsnb doctor`: whether a target can be reached, is complete and safe to operate."""

from opsnb.doctor.examination import (
    PARTS,
    Diagnosis,
    examine,
    report,
)

__all__ = [
    "PARTS",
    "Diagnosis",
    "examine",
    "report",
]
