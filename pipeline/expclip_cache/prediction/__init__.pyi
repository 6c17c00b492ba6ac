from .inputs import find_inputs as find_inputs
from .output import error_to_json as error_to_json
from .output import prediction_to_bars as prediction_to_bars
from .output import prediction_to_json as prediction_to_json
from .output import prediction_to_line as prediction_to_line
from .predictor import Predictor as Predictor
from .result import Prediction as Prediction
