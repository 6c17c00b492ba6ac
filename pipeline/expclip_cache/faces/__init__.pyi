from .crop_file import with_crops as with_crops
from .detector import DETECTOR as DETECTOR
from .detector import DetectedFace as DetectedFace
from .detector import FaceFinder as FaceFinder
from .detector import can_find_faces as can_find_faces
from .detector import fill_gaps as fill_gaps
from .find import complete_crops as complete_crops
