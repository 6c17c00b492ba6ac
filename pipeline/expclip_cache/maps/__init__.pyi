from .feature_map import FeatureMap as FeatureMap
from .feature_map import Panel as Panel
from .map_features import MapInputs as MapInputs
from .map_features import map_features as map_features
from .settings import MapSettings as MapSettings
