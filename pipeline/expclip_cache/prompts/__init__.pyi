from .prompt_file import classes_in as classes_in
from .settings import Aggregation as Aggregation
from .settings import PromptSettings as PromptSettings
from .templates import TYPES as TYPES
from .templates import Prompt as Prompt
from .templates import prompt_table as prompt_table
