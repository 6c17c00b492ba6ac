from .inputs import find_inputs as find_inputs
from .output import refusal_to_json as refusal_to_json
from .output import to_block as to_block
from .output import to_json as to_json
from .output import to_line as to_line
from .predictor import Predictor as Predictor
