"""`expclip-cache`: the commands put together. Heavy imports wait until a command runs."""

import typer

from expclip_cache.commands.compare import compare_results
from expclip_cache.commands.doctor import doctor
from expclip_cache.commands.extract import extract
from expclip_cache.commands.heads import export_head, import_head
from expclip_cache.commands.init import init
from expclip_cache.commands.inspect import inspect
from expclip_cache.commands.predict import predict
from expclip_cache.commands.save_crops import save_crops
from expclip_cache.commands.score import score
from expclip_cache.commands.train import train
from expclip_cache.commands.verify import verify

app = typer.Typer(
    help="Zero-shot facial expression recognition by Exp-CLIP from cached features.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def main() -> None:
    """Zero-shot facial expression recognition by Exp-CLIP from cached features.

    The whole pipeline runs with `dvc repro`; the commands here do one step on their own.
    """


for command in (
    init,
    extract,
    train,
    score,
    predict,
    verify,
    inspect,
    compare_results,
    import_head,
    export_head,
    save_crops,
    doctor,
):
    app.command()(command)


if __name__ == "__main__":
    app()
