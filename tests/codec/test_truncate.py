"""codec.truncate as it is typed."""

import pytest

from render.common.errors import InputError


def test_a_truncated_file_is_the_file_that_fewer_codebooks_make(run_codec, coded_files, tmp_path):
    model, stream = ("--model", coded_files / "model.safetensors"), coded_files / "x.arvq"
    for codebooks in (1, 3):
        cut, few = tmp_path / f"cut{codebooks}.arvq", tmp_path / f"few{codebooks}.arvq"
        run_codec("truncate", stream, "--codebooks", codebooks, "-o", cut)
        run_codec("encode", coded_files / "scene.wav", "--codebooks", codebooks, "-o", few, *model)
        assert cut.read_bytes() == few.read_bytes()
    run_codec("truncate", tmp_path / "cut3.arvq", "--codebooks", 1, "-o", tmp_path / "twice.arvq")
    assert (tmp_path / "twice.arvq").read_bytes() == (tmp_path / "cut1.arvq").read_bytes()
    for codebooks in (0, 4):
        with pytest.raises(InputError, match=f"has 3 codebooks, {codebooks} of them cannot be kept"):
            run_codec("truncate", tmp_path / "cut3.arvq", "--codebooks", codebooks, "-o", tmp_path / "more.arvq")
