"""What a run would do, and what is wrong with it, told without training and without weights."""

from sft.doctor.case import Setting
from sft.doctor.checks import check_registry
from sft.doctor.diagnose import Diagnosis, diagnose
from sft.doctor.finding import Finding

__all__ = ["Diagnosis", "Finding", "Setting", "check_registry", "diagnose"]
