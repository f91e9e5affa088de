"""The list of what a model consists of is the model's own."""

import gc
import weakref

import pytest
import torch

from codec.checkpoints.state_dict import assemble, shapes_of
from codec.rvqgan.codec import RVQGAN
from codec.rvqgan.config import ModelConfig
from render.common.errors import InputError

CONFIGS = [
    ModelConfig(channels=1, encoder_dim=4, decoder_dim=32, codebooks=2, output_tanh=True),
    ModelConfig(
        channels=5, encoder_dim=3, decoder_dim=12, strides=(2, 4), latent_dim=6, codebook_dim=5, dilations=(1,)
    ),
    ModelConfig(
        channels=2, encoder_dim=2, decoder_dim=8, strides=(6, 2, 4), latent_dim=3, codebooks=1, dilations=()
    ),
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("weight_norm", [True, False])
def test_names_and_shapes_are_those_of_the_modules(config, weight_norm):
    model = RVQGAN(config, weight_norm)
    assert shapes_of(config, weight_norm) == {name: tuple(t.shape) for name, t in model.state_dict().items()}
    if weight_norm:
        folded = model.fold_weight_norm().state_dict()
        assert folded.keys() == RVQGAN(config, weight_norm=False).state_dict().keys()


def test_the_full_models_have_the_published_number_of_parameters():
    for channels, count in ((1, 64_213_250), (16, 64_230_080)):
        shapes = shapes_of(ModelConfig(channels=channels), weight_norm=True)
        assert sum(torch.Size(shape).numel() for shape in shapes.values()) == count


def test_assembling_uses_up_no_random_numbers():
    model = RVQGAN(CONFIGS[1]).fold_weight_norm()
    state = model.state_dict()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    copy = assemble(CONFIGS[1], shapes, state.__getitem__, "model")
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(copy.state_dict()[name], tensor) for name, tensor in state.items())
    assert {name for name, _ in copy.named_parameters()} == set(state)
    assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert copy.is_folded
    assert not copy.training


def test_nothing_is_read_before_all_shapes_are_right():
    shapes = shapes_of(CONFIGS[1], weight_norm=False) | {"decoder.model.0.bias": (1,)}

    def tensor(name):
        raise AssertionError(name)

    with pytest.raises(InputError, match=r"model: 1 tensors do not fit .* expected is \(12,\)"):
        assemble(CONFIGS[1], shapes, tensor, "model")


def test_a_streamed_model_is_freed_with_its_last_name():
    """It is not a circle of references, which would stay in memory until the collector runs."""
    state = RVQGAN(CONFIGS[1], weight_norm=False).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    model = assemble(CONFIGS[1], shapes, state.__getitem__, "model", streamed=True)
    assert model.stored is not None
    freed = weakref.ref(model)
    gc.disable()
    try:
        del model
        assert freed() is None
    finally:
        gc.enable()
