"""What tells configurations apart that agree in every setting which a table usually shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sft.config.flat import flat
from sft.config.identity import canonical
from sft.config.schema import ExperimentConfig


def flat_config(config: ExperimentConfig, *, trains: bool) -> dict[str, Any]:
    """Dotted key → value of what determines a configuration, its seeds left out."""
    return flat({key: value for key, value in canonical(config, trains=trains).items() if not key.endswith("seed")})


def unseen_differences(
    settings: Mapping[str, Mapping[str, Any]], configs: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Configuration → the config keys in which it differs from those with the same settings.

    Both arguments are by configuration; configs: as `flat_config` gives them.
    """
    alike: dict[str, list[str]] = {}
    for identity, values in settings.items():
        alike.setdefault(json.dumps(values, sort_keys=True, default=str), []).append(identity)
    differing = {
        key
        for twins in alike.values()
        for key in dict.fromkeys(key for twin in twins for key in configs[twin])
        if len({json.dumps(configs[twin].get(key), sort_keys=True) for twin in twins}) > 1
    }
    return {identity: {key: configs[identity].get(key) for key in sorted(differing)} for identity in settings}
