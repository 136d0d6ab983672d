"""What a learning curve runs: methods × shots × calibrations × seeds, from the config of one experiment. Pure.

A method is `zero` (the bare model), `icl` (in-context examples, nothing trained), the name of the config's adapter
(trained on the shots), or that name with `+icl` (trained, and in-context examples of the same shots).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sft.config.checks import check_config
from sft.config.identity import seeds_that_matter
from sft.config.load import NamedConfig
from sft.config.schema import ExperimentConfig, MethodConfig, TrainingConfig
from sft.errors import ConfigError, Problem, SftError
from sft.pipeline.checks import check_calibration
from sft.pipeline.conclude import needs_of
from sft.registry import unknown_name_fix

ZERO, ICL = "zero", "icl"
NO_CALIBRATION = "none"
DEFAULT_ICL_EXAMPLES = 4


class CurveSpec(NamedTuple):
    """What is asked for. methods: empty for all that the config allows. calibrations: names, `none`; empty for the
    config's own. icl_examples: at most so many in-context examples per label (in total for generation), of which a run
    shows as many as it has shots.
    """

    shots: Sequence[int]
    seeds: int
    methods: Sequence[str] = ()
    calibrations: Sequence[str] = ()
    icl_examples: int = DEFAULT_ICL_EXAMPLES


class CurvePlan(NamedTuple):
    """The runs, each with a name, and what was left out and why."""

    runs: list[NamedConfig]
    notes: list[str]


def plan_curve(config: ExperimentConfig, spec: CurveSpec) -> CurvePlan:
    """Raises `SftError` for methods, shots or seeds that make no sense, `ConfigError` for sections that a method needs.

    Zero-shot runs once (once per seed where a seed matters); in-context learning only up to `icl_examples`, beyond
    which it would use no further label. Adapters aren't kept.
    """
    spec = spec._replace(methods=spec.methods or _known_methods(config))
    _check(config, spec)
    notes: list[str] = []
    runs: dict[str, NamedConfig] = {}
    for method in _with_zero(spec):
        for shots in _shots_of(method, spec, notes):
            for calibration in _calibrations(config, spec):
                one = _without_output(_configured(config, method, shots, spec.icl_examples, calibration))
                obstacle = _obstacle(one, method)
                if obstacle is not None:
                    notes.append(f"{_name(method, shots, calibration)} is left out: {obstacle}")
                    continue
                for run in _over_seeds(one, _name(method, shots, calibration), spec.seeds):
                    runs.setdefault(run.name, run)
    if not runs:
        raise SftError("the curve has no run:\n  " + "\n  ".join(notes), "ask for other --shots, --methods")
    return CurvePlan(list(runs.values()), notes)


def _known_methods(config: ExperimentConfig) -> list[str]:
    adapter = config.adapter_spec
    return [ZERO, ICL, *([] if adapter is None else [adapter.method, f"{adapter.method}+{ICL}"])]


def _check(config: ExperimentConfig, spec: CurveSpec) -> None:
    if not spec.shots:
        raise SftError("--shots names no number", "e.g. --shots 0,4,16,64")
    given = {"--shots": spec.shots, "--methods": spec.methods, "--calibrations": spec.calibrations}
    for option, values in given.items():
        twice = next((value for i, value in enumerate(values) if value in values[:i]), None)
        if twice is not None:
            raise SftError(f"{option} names {twice} twice", "name it once")
    negative = next((value for value in spec.shots if value < 0), None)
    if negative is not None:
        raise SftError(f"--shots: must be 0 or more, got {negative}", "e.g. --shots 0,4,16,64")
    if spec.seeds < 1 or spec.icl_examples < 1:
        option, value = ("--seeds", spec.seeds) if spec.seeds < 1 else ("--icl-examples", spec.icl_examples)
        raise SftError(f"{option}: must be at least 1, got {value}", "give a positive number")
    known = _known_methods(config)
    if config.adapter_spec is None:
        known += ["lora", f"lora+{ICL}"]
    for method in spec.methods:
        if method not in known:
            raise SftError(f"--methods: no method is named {method!r}", unknown_name_fix(method, known))
    problems = [*_check_sections(config, [m for m in spec.methods if m not in (ZERO, ICL)]), *_check_calibrations(spec)]
    for calibration in _calibrations(config, spec) if spec.calibrations and not problems else ():
        problems += check_config(_configured(config, ZERO, 0, 0, calibration))
    if problems:
        raise ConfigError("the curve", problems)


def _check_sections(config: ExperimentConfig, training: Sequence[str]) -> list[Problem]:
    """Those that methods which train need."""
    sections = {"lora": config.adapter_spec, "training": config.training}
    fix = f"add it, or leave {', '.join(training)} out of --methods"
    return [
        Problem(name, f"the method {training[0]!r} needs this section", fix)
        for name, section in sections.items()
        if training and section is None
    ]


def _check_calibrations(spec: CurveSpec) -> list[Problem]:
    """That they exist, and work without arguments."""
    names = [name for name in spec.calibrations if name != NO_CALIBRATION]
    return [problem for name in names for problem in check_calibration(MethodConfig(method=name))]


def _with_zero(spec: CurveSpec) -> list[str]:
    """Every curve may begin at the bare model: 0 shots ask for it too."""
    asked = [ZERO] if ZERO in spec.methods or 0 in spec.shots else []
    return [*asked, *(method for method in spec.methods if method != ZERO)]


def _shots_of(method: str, spec: CurveSpec, notes: list[str]) -> list[int]:
    if method == ZERO:
        return [0]
    shots = sorted(value for value in spec.shots if value > 0)
    if method == ICL:
        beyond = [value for value in shots if value > spec.icl_examples]
        shots = [value for value in shots if value <= spec.icl_examples]
        if beyond and spec.icl_examples not in shots:
            shots.append(spec.icl_examples)
        if beyond:
            notes.append(
                f"{ICL} shows at most {spec.icl_examples} examples (per label, for classification) and uses no further "
                "label: its curve ends there (--icl-examples)"
            )
    return shots


def _calibrations(config: ExperimentConfig, spec: CurveSpec) -> list[MethodConfig | None]:
    """The config's own keeps its arguments."""
    own = config.inference_or_default.calibration
    if not spec.calibrations:
        return [own]
    made = {name: None if name == NO_CALIBRATION else MethodConfig(method=name) for name in spec.calibrations}
    return [own if own is not None and name == own.method else one for name, one in made.items()]


def _configured(
    config: ExperimentConfig, method: str, shots: int, most: int, calibration: MethodConfig | None
) -> ExperimentConfig:
    """In-context learning alone takes its pool from the number of examples, because shots are trained on.

    A training row is never shown to itself, so training prompts have an example less of each label where all are shown.
    """
    trains = method not in (ZERO, ICL)
    examples = min(shots, most) if method.endswith(ICL) else 0
    inference = {"icl_examples": examples, "calibration": calibration}
    changes = {
        "dataset": config.dataset.model_copy(update={"shots": shots if trains else 0}),
        "inference": config.inference_or_default.model_copy(update=inference),
    }
    if trains:
        assert config.training is not None
        shown = {"icl_examples": min(max(shots - 1, 0), examples)}
        changes["training"] = config.training.model_copy(update=shown)
    return config.model_copy(update=changes)


def _without_output(config: ExperimentConfig) -> ExperimentConfig:
    """All runs would write their adapters to one folder."""
    training: TrainingConfig | None = config.training
    if training is None or "output_dir" not in training.trainer_args:
        return config
    args = {name: value for name, value in training.trainer_args.items() if name != "output_dir"}
    return config.model_copy(update={"training": training.model_copy(update={"trainer_args": args})})


def _obstacle(config: ExperimentConfig, method: str) -> str | None:
    """Why a combination can't be run, where that is known before the data is."""
    inference, shots = config.inference_or_default, config.dataset.shots or 0
    trains = method not in (ZERO, ICL)
    if any(needs.shots for needs in needs_of(inference)) and (shots < 2 if trains else not inference.icl_examples):
        assert inference.calibration is not None
        return f"the calibration {inference.calibration.method} learns from labelled rows that are held out"
    if trains and shots < 2 and config.training is not None and config.training.select is not None:
        return "training.select judges on shots that are held out, and there is one of each label"
    return None


def _over_seeds(config: ExperimentConfig, name: str, seeds: int) -> Iterator[NamedConfig]:
    """One run per seed, from the config's own upwards; a single one where no seed matters."""
    matters = bool(seeds_that_matter(config, trains=config.has_shots))
    for seed in range(config.seed, config.seed + (seeds if matters else 1)):
        yield NamedConfig(f"{name} seed={seed}", config.model_copy(update={"seed": seed}))


def _name(method: str, shots: int, calibration: MethodConfig | None) -> str:
    calibrated = "" if calibration is None else f" {calibration.method}"
    return f"{method}{calibrated} shots={shots}"
