from .calibration import Calibration as Calibration
from .calibration import Reliability as Reliability
from .calibration import calibration as calibration
from .calibration import reliability as reliability
from .coverage import accuracy_at_coverage as accuracy_at_coverage
from .coverage import confidence_at_coverage as confidence_at_coverage
from .coverage import coverage_curve as coverage_curve
from .temperature import fitted_temperature as fitted_temperature
