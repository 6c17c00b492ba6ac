import pytest
import torch
from pydantic import ValidationError

from expclip_cache.base import EncoderError
from expclip_cache.workers import RunSettings
from expclip_cache.workers.device import device_name, resolve_device

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


def test_the_cpu_is_always_available():
    assert resolve_device("cpu") == torch.device("cpu")


@without_cuda
def test_auto_is_the_cpu_without_cuda():
    assert resolve_device("auto") == torch.device("cpu")


@without_cuda
@pytest.mark.parametrize("requested", ["cuda", "cuda:1"])
def test_cuda_never_falls_back_to_the_cpu(requested):
    with pytest.raises(EncoderError, match=rf"'{requested}' is not available.*found no CUDA device.*run.device: cpu"):
        resolve_device(requested)


@pytest.mark.parametrize("requested", ["gpu", "mps", "cuda:x"])
def test_other_devices_are_refused(requested):
    with pytest.raises(EncoderError, match=rf"expected auto, cpu, cuda or cuda:<number>, found '{requested}'"):
        resolve_device(requested)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_by_name_and_number():
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 0)
    assert torch.cuda.get_device_name(0) in device_name(torch.device("cuda", 0))
    count = torch.cuda.device_count()
    with pytest.raises(EncoderError, match=rf"found {count} CUDA device.*cuda:0 to cuda:{count - 1}"):
        resolve_device(f"cuda:{count}")


def test_the_name_of_the_cpu_includes_its_threads():
    threads = torch.get_num_threads()
    assert device_name(torch.device("cpu")) == f"cpu ({threads} thread{'' if threads == 1 else 's'})"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "CPU", "cuda:1 ", ""])
def test_another_name_of_a_device_is_an_error_that_names_the_known_ones(device):
    with pytest.raises(ValidationError, match="expected auto, cpu, cuda or cuda:1, found"):
        RunSettings(device=device)
