"""Rules that involve more than one option."""

from collections.abc import Collection

from simclr_tf.config import job_kinds, operator_list
from simclr_tf.config.evaluation_options import FEW_LABELS_OF
from simclr_tf.config.job_kinds import Job
from simclr_tf.errors import UserError


def require_consistent(config) -> None:
    """Checks a whole configuration.

    Args:
        config: `sections.Config`.

    Raises:
        UserError: two options contradict each other, or one lacks another.
    """
    named = {
        "mode": config.job.mode,
        "train_mode": config.job.train_mode,
        "protocol": config.eval.protocol,
    }
    job = job_kinds.job_of(**named)
    _check_selector(config.model)
    _check_checkpoint(config, job)
    _check_labels(config.data)
    _check_operators(config.augment)
    _check_table(config.data, job)
    _check_channels(config, job_kinds.takes(**named))
    _check_batches(config)
    _check_loss(config.optim)
    _check_length(config.optim)
    _check_profile(config.output.profile_steps)
    _check_names(config)
    _check_scored(config.eval.linear_eval_of)
    if (
        config.data.dataset == "folder"
        and not config.data.data_dir
        and job is not Job.EXPORT  # which reads no images
    ):
        raise UserError(
            "--dataset=folder needs --data_dir, the folder of images. "
            "Received: no --data_dir."
        )


def require_used(config, typed: Collection[str]) -> None:
    """Refuses what was typed and has no effect beside other options.

    Args:
        config: `sections.Config`.
        typed: names of options. What a flagfile or a recipe says beside is
            left aside, since it was not meant for this command alone.

    Raises:
        UserError: an option of another loss, of no operator of a list, or of
            a choice that is not left open.
    """
    if config.eval.l2 is not None and "holdout_fraction" in typed:
        raise UserError(
            f"--holdout_fraction={config.eval.holdout_fraction:g} is for "
            "choosing the strength of regularisation, which --l2="
            f"{config.eval.l2:g} gives. Leave one out."
        )
    if "temperature" in typed and config.optim.loss == "margin_triplet":
        raise UserError(
            f"--temperature={config.optim.temperature:g} is not for "
            "--loss=margin_triplet, which has a --margin instead. Leave it out."
        )

    lists = _operators(config.augment)
    if lists[0] is None:
        return
    used = {name for operators in lists for name, _ in operators or ()}
    for option in typed:
        users = operator_list.USERS.get(option)
        if users is not None and not used & set(users):
            takes = f"is for {', '.join(users)}" if users else "is for others"
            raise UserError(
                f"--{option} {takes}, and --operators says what is done to "
                f"views. Received: --operators={config.augment.operators}. "
                "Leave it out."
            )


def _operators(augment) -> list:
    return [
        operator_list.parsed(flag, getattr(augment, flag))
        for flag in ("operators", "second_operators")
    ]


def _check_operators(augment) -> None:
    first, second = _operators(augment)
    named = {name for name, _ in (*(first or ()), *(second or ()))}
    if augment.augment_on == "device":
        for name in named.intersection(operator_list.ON_HOST):
            raise UserError(
                f"--augment_on=device is not for {name}, which runs in the "
                "tf.data graph only. Received: --operators="
                f"{augment.operators}. Leave --augment_on out."
            )
    if second is None:
        return
    if first is None:
        raise UserError(
            f"--second_operators={augment.second_operators} needs --operators, "
            "the first view's. Received: no --operators."
        )
    always = ((("crop", None),), (("crop", 1.0),))
    crops = [operators[:1] in always for operators in (first, second)]
    if crops[0] != crops[1]:
        raise UserError(
            "--operators and --second_operators must both begin with crop, or "
            f"neither. Received: {augment.operators} and "
            f"{augment.second_operators}."
        )


def _check_selector(model) -> None:
    layers = model.projection_depth
    if model.ft_proj_selector > layers:
        raise UserError(
            f"--ft_proj_selector must be 0 to {layers}, the layers of a "
            f"{model.proj_head_mode} head. Received: {model.ft_proj_selector}."
        )


def _check_checkpoint(config, job: Job) -> None:
    checkpoint = config.job.checkpoint
    train_mode = config.job.train_mode
    needs = job in Job.ON_WEIGHTS or train_mode in ("finetune", "distill")
    if checkpoint and not needs and train_mode != "pretrain":
        raise UserError(
            f"--checkpoint={checkpoint} is not for --train_mode={train_mode}, "
            "which starts from the seed, or continues its model_dir. Leave it "
            "out."
        )
    if job in Job.ON_ENCODER and config.eval.encoder != "checkpoint":
        if not checkpoint and not config.job.model_dir:
            raise UserError(
                f"--encoder={config.eval.encoder} without --checkpoint needs "
                "--model_dir, a folder for its results. Received: neither."
            )
        needs = False
    if checkpoint or job is Job.FOLLOW:  # whose run says what it builds upon
        return
    if train_mode == "distill":
        raise UserError(
            "--train_mode=distill needs --checkpoint, the teacher: a run that "
            "is a classifier (--train_mode=finetune, supervised or distill), "
            "or what Google fine-tuned. Received: none."
        )
    if needs:
        raise UserError(
            f"{job.words} needs --checkpoint: a model_dir, one of its "
            "checkpoints, a SavedModel, or what Google released. Received: "
            "none. (To train a classifier from scratch: "
            "--train_mode=supervised.)"
        )
    if config.job.ema_weights:
        raise UserError(
            "--ema_weights is of --checkpoint's weights. Received: no "
            "--checkpoint. Leave it out."
        )


def _check_labels(data) -> None:
    if data.labels_per_class and data.label_fraction:
        raise UserError(
            f"--labels_per_class={data.labels_per_class} and "
            f"--label_fraction={data.label_fraction:g} say the same in two "
            "ways. Leave one out."
        )


def _check_table(data, job: Job) -> None:
    """Transfer reads some of the paper's sets as folders, and a follower's
    run says what it reads."""
    knows = Job.TRANSFER_LINEAR | Job.TRANSFER_FINETUNE | Job.FOLLOW
    if data.labels and data.dataset != "folder" and not job & knows:
        raise UserError(
            f"--labels={data.labels} is for --dataset=folder. Received: "
            f"--dataset={data.dataset}."
        )


def _check_channels(config, taken: Job) -> None:
    data, augment = config.data, config.augment
    num_channels = config.model.num_channels
    asked = f"--num_channels={num_channels}"
    if num_channels not in (1, 3) and data.cache_dataset == "disk":
        raise UserError(
            f"--cache_dataset=disk keeps RGB, and {asked} asks for bands, "
            "which are converted once and held in memory. Leave it out."
        )
    if num_channels == 3 or not taken & Job.WITH_COLORS:
        return
    if augment.operators is None:
        if augment.color_jitter_strength:
            raise UserError(
                f"{asked}: colour jitter and colour drop are defined in RGB. "
                "Set --color_jitter_strength=0, or name the operators, as in "
                "--operators=crop,flip,blur. Received: "
                f"--color_jitter_strength={augment.color_jitter_strength:g}."
            )
        return
    in_rgb = operator_list.IN_RGB
    others = ", ".join(n for n in operator_list.NAMES if n not in in_rgb)
    for flag in ("operators", "second_operators"):
        parsed = operator_list.parsed(flag, getattr(augment, flag))
        for name, _ in parsed or ():
            if name in in_rgb:
                raise UserError(
                    f"{asked}: {name} is defined in RGB. Received: --{flag}="
                    f"{getattr(augment, flag)}. Take it out; these work: "
                    f"{others}."
                )


def _check_batches(config) -> None:
    optim, pretrains = config.optim, config.job.train_mode == "pretrain"
    if pretrains and optim.train_batch_size < 2:
        raise UserError(
            "--train_batch_size must be at least 2: pretraining tells an "
            f"image from others. Received: {optim.train_batch_size}."
        )
    if optim.micro_batch_size and config.model.global_bn:
        raise UserError(
            f"--micro_batch_size={optim.micro_batch_size} needs "
            "--global_bn=false: every micro-batch is normalised by its own "
            "statistics, as on as many replicas with local BN. Received: "
            "--global_bn=true, its default."
        )


def _check_loss(optim) -> None:
    if optim.semi_hard and optim.loss == "nt_xent":
        raise UserError(
            "--semi_hard is for --loss=nt_logistic and margin_triplet: NT-Xent "
            "weighs its negatives by how hard they are. Received: "
            "--loss=nt_xent. Leave it out."
        )
    has_margin = optim.semi_hard or optim.loss == "margin_triplet"
    if optim.margin is not None and not has_margin:
        raise UserError(
            f"--margin={optim.margin:g} is for --loss=margin_triplet and "
            f"--semi_hard. Received: --loss={optim.loss}, without --semi_hard. "
            "Leave it out."
        )
    if optim.semi_hard and optim.margin == 0:
        raise UserError(
            "--semi_hard needs a --margin above 0: no negative is within 0 of "
            "the positive. Received: --margin=0."
        )


def _check_length(optim) -> None:
    if not optim.train_epochs and not optim.train_steps:
        raise UserError(
            "--train_epochs=0 without --train_steps leaves nothing to train. "
            "Give one of them."
        )


def _check_names(config) -> None:
    """Names that become parts of paths must not lead out of their folder."""
    name = config.eval.eval_name
    if name is not None and ("/" in name or name in (".", "..")):
        raise UserError(
            "--eval_name must be the name of a folder in model_dir, without "
            f"/. Received: {name!r}."
        )
    dataset = config.data.dataset
    if dataset.startswith("/") or ".." in dataset.split("/"):
        raise UserError(
            "--dataset must be a name, with /config if it has one; --data_dir "
            f"says where it lies. Received: {dataset!r}."
        )


def _check_scored(names: str) -> None:
    named = names.split(",")
    wrong = [name for name in named if name not in FEW_LABELS_OF]
    if wrong or len(set(named)) < len(named):
        raise UserError(
            f"--linear_eval_of must be names of {', '.join(FEW_LABELS_OF)}, "
            f"with commas, each once. Received: {names}."
        )


def _check_profile(steps: tuple[int, ...]) -> None:
    if steps and not (len(steps) == 2 and 1 <= steps[0] <= steps[1]):
        raise UserError(
            "--profile_steps must be two steps a,b with 1 <= a <= b. Received: "
            f"{','.join(map(str, steps))}."
        )
