from .options import AXES as AXES
from .options import AblationOptions as AblationOptions
from .options import parse_centre as parse_centre
from .options import parse_faces as parse_faces
from .run import ablate as ablate
