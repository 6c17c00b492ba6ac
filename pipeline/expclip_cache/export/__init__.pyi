from .run import Exported as Exported
from .run import export_classifier as export_classifier
from .run import export_features as export_features
