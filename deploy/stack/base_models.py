"""The base model's id, on hosts that have its folder and on those that are given the id."""

from __future__ import annotations

from deploy.stack.settings import StackSettings


def base_model_ids(settings: StackSettings) -> tuple[str, str]:
    """Return the base model's id and the one of earlier releases ("" where the model is not here). Raise
    FileNotFoundError or ValueError where neither the model nor its id is known."""
    from deploy.stack.lifecycle import model_folder
    from retrain.base_model import base_model_id, former_base_model_id

    if settings.model_id:
        return settings.model_id, ""
    try:
        model = model_folder(settings)
    except ImportError as error:
        raise FileNotFoundError(
            f"the demo's base model cannot be unpacked here ({error}): set stack.model to the base model's folder, or "
            "stack.model_id to its id, which `homeostat doctor --role trainer` shows where the model is"
        ) from error
    return base_model_id(model, settings.var / "digests"), former_base_model_id(model)
