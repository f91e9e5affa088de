"""Settings: what is written can be read again, what cannot be is refused with a hint."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.rvqgan.config import ModelConfig
from codec.training.config import TrainConfig, check_fit, load_preset, preset_text, refuse_other
from render.common.errors import InputError


@pytest.mark.parametrize("name", ["paper", "base", "small", "smoke", "published44"])
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
def test_any_value_survives(tmp_path_factory, path, rate, steps, weight):
    """Quotes, backslashes and control characters in a path; numbers to the last bit."""
    config = TrainConfig(
        initialisation=f"transfer:{path}", learning_rate=rate, steps=steps, weights={"mel": weight},
        discriminator=None,
    )  # fmt: skip
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(preset_text(ModelConfig(), config), encoding="utf-8")
    assert load_preset(str(file)) == (ModelConfig(), config)


@pytest.mark.parametrize(
    ("text", "said"),
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
def test_presets_that_cannot_be(tmp_path, text, said):
    (tmp_path / "wrong.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        load_preset(str(tmp_path / "wrong.toml"))


def test_settings_that_do_not_fit_the_model():
    model, config = load_preset("smoke")
    check_fit(model, config)
    with pytest.raises(InputError, match="multiple of the model's hop 512 and at least 2048: 4096"):
        check_fit(model, replace(config, excerpt_frames=4097))
    with pytest.raises(InputError, match="2048: 2048"):
        check_fit(model, replace(config, excerpt_frames=512))
    feed, spatial = replace(model, channels=12, layout="4+7+0"), {"intensity": 1.0, "feature": 1.0}
    with pytest.raises(InputError, match="intensity needs Ambisonics"):
        check_fit(feed, replace(config, weights=spatial))


def test_what_may_differ_when_a_run_goes_on():
    model, config = load_preset("smoke")
    stored = {"model": model.as_json(), "train": config.__dict__}
    refuse_other(stored, model, config, False, "here")
    refuse_other(stored, model, replace(config, accumulate=2, validate_every=7, log_every=0), False, "here")
    refuse_other(stored, model, replace(config, steps=40), True, "here")
    for changed, name in ((replace(config, steps=40), "steps 20"), (replace(config, betas=(0.9, 0.99)), "betas")):
        with pytest.raises(InputError, match=f"other settings: {name}"):
            refuse_other(stored, model, changed, False, "here")
    with pytest.raises(InputError, match="latent_dim 16 there, 32 here"):
        refuse_other(stored, replace(model, latent_dim=32), config, True, "here")
