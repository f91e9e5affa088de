"""Settings survive being written and read, bad ones are refused with a hint, presets say what they should."""

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.rvqgan.config import ModelConfig
from codec.rvqgan.discriminator import DiscriminatorConfig
from codec.training.config import (
    FREE_ON_RESUME,
    PRESETS,
    TrainConfig,
    check_compatible,
    load_preset,
    preset_text,
    refuse_other_settings,
    settings_record,
)
from codec.training.trainer import learning_rate
from codec.training.validation import excerpt_length
from render.common.errors import InputError


@pytest.mark.parametrize("name", ["paper", "base", "gpu15", "small", "smoke", "published44"])
def test_a_preset_that_is_written_says_the_same(tmp_path, name):
    model, config = load_preset(name)
    (tmp_path / "again.toml").write_text(preset_text(model, config))
    assert load_preset(str(tmp_path / "again.toml")) == (model, config)


@settings(max_examples=40)
@given(
    path=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    rate=st.floats(0, 1),
    steps=st.integers(1, 10**9),
    weight=st.floats(1e-9, 1e6),
)
def test_any_value_survives_writing_and_reading(tmp_path_factory, path, rate, steps, weight):
    """Quotes, backslashes and control characters in a path; numbers to the last bit."""
    config = TrainConfig(
        initialisation=f"transfer:{path}", learning_rate=rate, steps=steps, weights={"mel": weight},
        discriminator=None,
    )  # fmt: skip
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(preset_text(ModelConfig(), config), encoding="utf-8")
    assert load_preset(str(file)) == (ModelConfig(), config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nsteps = 0\n", "steps = 0; need a whole number, 1 to"),
        ("[train]\nsteps = 1.5\n", "steps = 1.5; need a whole number"),
        ("[train]\nbf16 = 1\n", "bf16 = 1; need true or false"),
        ("[train]\nlearning_rate = -1e-3\n", "learning_rate = -0.001; need a number, 0 to 1"),
        ("[train]\nlearning_rate = nan\n", "learning_rate = nan"),
        ("[train]\nweights = { covarience = 1.0 }\n", "did you mean covariance"),
        ("[train]\nweights = { mel = -1.0 }\n", "weights.mel = -1.0"),
        ("[train]\nweights = { mel = 0.0 }\n", "no loss has a weight"),
        ("[train]\nweights = 3\n", "weights = 3; need a table"),
        ("[train]\nweights = { feature = 2.0 }\n", "need a table \\[discriminator\\]"),
        ("[train]\nbetas = [0.8]\n", "betas"),
        ("[train]\nseeed = 1\n", "did you mean seed"),
        ("[trian]\nseed = 1\n", "did you mean train"),
        ("train = 1\n", "train is a value; need a table"),
        ("[model]\nchanels = 4\n", "did you mean channels"),
        ("[train]\ncovariance_reduction = 'median'\n", "possible are sum and mean"),
        ("[train\n", "wrong.toml: "),
    ],
)
def test_invalid_presets_are_refused(tmp_path, text, message):
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_preset(str(tmp_path / "wrong.toml"))


def test_settings_that_do_not_suit_the_model_are_refused():
    model, config = load_preset("smoke")
    check_compatible(model, config)
    with pytest.raises(InputError, match="multiple of the model's hop 512 and at least 2048: 4096"):
        check_compatible(model, replace(config, excerpt_frames=4097))
    with pytest.raises(InputError, match="2048: 2048"):
        check_compatible(model, replace(config, excerpt_frames=512))
    feed, spatial = replace(model, channels=12, layout="4+7+0"), {"intensity": 1.0, "feature": 1.0}
    with pytest.raises(InputError, match="intensity needs Ambisonics"):
        check_compatible(feed, replace(config, weights=spatial))


def test_what_may_differ_when_a_run_is_resumed():
    model, config = load_preset("smoke")
    stored = settings_record(model, config)
    refuse_other_settings(stored, model, config, "here")
    refuse_other_settings(stored, model, replace(config, accumulate=2, validate_every=7, log_every=0), "here")
    refuse_other_settings(stored, model, replace(config, steps=40), "here", free=(*FREE_ON_RESUME, "steps"))
    for changed, name in ((replace(config, steps=40), "steps 20"), (replace(config, betas=(0.9, 0.99)), "betas")):
        with pytest.raises(InputError, match=f"other settings: {name}"):
            refuse_other_settings(stored, model, changed, "here")
    del stored["train"]["tf32"]  # a run from before there was this setting
    refuse_other_settings(stored, model, config, "here")
    with pytest.raises(InputError, match="other settings: tf32 False there, True here"):
        refuse_other_settings(stored, model, replace(config, tf32=True), "here")
    with pytest.raises(InputError, match="latent_dim 16 there, 32 here"):
        refuse_other_settings(stored, replace(model, latent_dim=32), config, "here")


def test_groups_of_settings_share_no_name():
    """Names are flat in files: a name in two groups would be one setting."""
    groups = [group for group in TrainConfig.__mro__ if group.__name__.endswith("Settings")]
    assert len(groups) == 4
    names = [name for group in groups for name in group.__annotations__]
    assert sorted(names) == sorted(field.name for field in fields(TrainConfig))


def test_every_preset_can_be_read():
    presets = sorted(path.stem for path in PRESETS.glob("*.toml"))
    assert {"small", "smoke", "published44", "paper", "base"} <= set(presets)
    for name in presets:
        model_config, config = load_preset(name)
        check_compatible(model_config, config)
        assert config.steps > 0
        assert model_config.hop == 512


def test_the_paper_preset_is_what_was_published():
    """44khz-16kbps.yml and base.yml of descript-audio-codec 1.0.0; the paper's batch, steps, covariance."""
    model, config = load_preset("paper")
    assert config.discriminator_config(model) == DiscriminatorConfig(16, 44_100, gain_per_channel=True)
    assert (config.phase_shift, config.turn, config.mix, config.tf32, config.ema) == (True, False, 0.0, True, 0.0)
    assert excerpt_length([10**7], 44_100, model.hop, config.validation_seconds) == config.excerpt_frames
    assert config.weights == {"mel": 15.0, "covariance": 1.0, "adversarial": 1.0, "feature": 2.0}
    assert (config.commitment, config.codebook, config.steps, config.batch) == (0.25, 1.0, 400_000, 24)
    assert learning_rate(config, 0) == 1e-4
    assert learning_rate(config, 399_999) == pytest.approx(1e-4 * 0.2019, rel=1e-3)
    assert (config.betas, config.weight_decay) == ((0.8, 0.99), 1e-2)
    assert (config.clip_norm, config.discriminator_clip_norm) == (1e3, 10.0)
