import pytest
import torch

from expclip_cache.base.errors import EncoderError
from expclip_cache.workers.device import device_name, resolve_device

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


def test_cpu_is_always_there():
    assert resolve_device("cpu") == torch.device("cpu")


@without_cuda
def test_auto_is_the_cpu_without_cuda():
    assert resolve_device("auto") == torch.device("cpu")


@without_cuda
@pytest.mark.parametrize("asked", ["cuda", "cuda:1"])
def test_cuda_is_never_replaced_by_the_cpu(asked):
    with pytest.raises(EncoderError, match=rf"'{asked}' was asked for.*sees no CUDA device.*run.device: cpu"):
        resolve_device(asked)


@pytest.mark.parametrize("asked", ["gpu", "mps", "cuda:x"])
def test_other_devices_are_refused(asked):
    with pytest.raises(EncoderError, match=rf"expected auto, cpu, cuda or cuda:<number>, found '{asked}'"):
        resolve_device(asked)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_by_name_and_number():
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 0)
    assert torch.cuda.get_device_name(0) in device_name(torch.device("cuda", 0))
    count = torch.cuda.device_count()
    with pytest.raises(EncoderError, match=rf"sees {count} CUDA device.*cuda:0 to cuda:{count - 1}"):
        resolve_device(f"cuda:{count}")


def test_the_cpu_says_its_threads():
    threads = torch.get_num_threads()
    assert device_name(torch.device("cpu")) == f"cpu ({threads} thread{'' if threads == 1 else 's'})"
