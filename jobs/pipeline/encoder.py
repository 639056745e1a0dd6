"""The encoder side of a configuration, and the job of a run that only embeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jobs.config import RunConfig
from jobs.errors import InputError
from jobs.formats.finding import expand
from jobs.machine import available_cores
from jobs.output import layout
from jobs.output.store import Store
from jobs.vectors.given import check_vectors
from jobs.work.job import Job
from onnx_models.cards import built_in_names, load_card
from onnx_models.errors import EncoderError

PART_BYTES = 128 << 20  # of the vectors in memory when a part is scored
LEAST_PART_TEXTS = 8_192


@dataclass(frozen=True)
class EncoderChoice:
    """What stands for an encoder in a run. `name` is None with --vectors, and its fingerprint then follows from them."""

    name: str | None
    label: str
    fingerprint: str
    dim: int
    temperature: float
    title_separator: str


def encoder_choice(config: RunConfig) -> EncoderChoice:
    """Return the encoder that a configuration names, or the dimension of its vectors.

    Raises:
        InputError: the encoder is unknown or its card wrong, or the vectors cannot be used.
    """
    if config.vectors:
        dims = {path: check_vectors(path) for path in expand(config.vectors, "vectors")}
        if len(set(dims.values())) > 1:
            raise InputError(
                f"vectors: files of different dimensions: {dims}; one run scores the vectors of one encoder"
            )
        return EncoderChoice(None, "vectors", "vectors", next(iter(dims.values())), config.temperature or 0.05, " ")

    try:
        card = load_card(config.encoder)
        fingerprint = card.fingerprint
        card.model.verified_path()
        card.tokenizer.verified_path()
    except EncoderError as error:
        raise InputError(str(error)) from None
    temperature = config.temperature or card.temperature
    return EncoderChoice(config.encoder, card.name, fingerprint, card.dim, temperature, card.title_separator)


def _anywhere(name: str | None) -> str | None:
    """Return an encoder's name, or its folder so that workers find it from another working folder."""
    return name if name is None or name in built_in_names() else str(Path(name).absolute())


def threads_of(config: RunConfig) -> int:
    """Return the threads of one worker: the cores shared out."""
    return max(1, available_cores() // config.cores())


def job_for(config: RunConfig, folder: str, buckets: int, run_id: str = "", choice: EncoderChoice | None = None) -> Job:
    """Return the job of a configuration, with its work in a folder below OUT."""
    choice = choice or encoder_choice(config)
    store = Store(config.out)
    return Job(
        # workers may have another working folder
        out=store.path(),
        work=folder,
        publish=layout.publish_in(folder) if store.local or not run_id else layout.run_folder(run_id),
        run_id=run_id,
        folds=config.folds,
        buckets=buckets,
        encoder=_anywhere(choice.name),
        fingerprint=choice.fingerprint,
        dim=choice.dim,
        temperature=choice.temperature,
        kappa=config.kappa,
        lam=config.lam,
        tokenizer=config.tokenizer,
        threads=threads_of(config),
        share=config.share(),
        part_texts=max(LEAST_PART_TEXTS, PART_BYTES // (4 * choice.dim)),
        kept=layout.READ if run_id else "",
    )
