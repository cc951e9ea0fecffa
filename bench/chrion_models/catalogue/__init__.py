"""Published models of every kind, to show that Chrion plans and serves what people export."""

from chrion_models.catalogue import pictures, sound, tables, text
from chrion_models.catalogue.model import PublishedModel
from chrion_models.packages import Package

__all__ = ["CATALOGUE", "PublishedModel", "shipped_by"]

CATALOGUE: tuple[PublishedModel, ...] = (*sound.MODELS, *pictures.MODELS, *text.MODELS, *tables.MODELS)


def shipped_by(package: Package) -> tuple[PublishedModel, ...]:
    """The models of the catalogue that one package ships: one download brings all of them."""
    return tuple(model for model in CATALOGUE if model.package == package)
