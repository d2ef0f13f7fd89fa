"""What PyTorch can do on this processor, and what our code says where it can't.

`ATEN_CPU_CAPABILITY=avx2` makes PyTorch act as on a processor without AVX-512, but `torch.cpu`
still reports the processor itself. It is overruled here, before any of our modules asks.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec

import pytest
import torch

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
if not HAS_AVX512:
    for name in ("_is_avx512_bf16_supported", "_is_vnni_supported", "_is_amx_tile_supported"):
        if hasattr(torch.cpu, name):
            setattr(torch.cpu, name, lambda: False)

HAS_ONEDNN = torch.backends.mkldnn.is_available()
# Instructions for bf16. oneDNN takes bf16 on every AVX-512, but emulates it without them.
HAS_BF16 = (
    HAS_ONEDNN
    and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
)
HAS_VNNI = HAS_ONEDNN and getattr(torch.cpu, "_is_vnni_supported", lambda: False)()
# OpenVINO's own oneDNN obeys this limit and the rest of OpenVINO does not, so it crashes.
HAS_OPENVINO = bool(find_spec("openvino")) and "ONEDNN_MAX_CPU_ISA" not in os.environ


def expect_emulation(precision: str) -> AbstractContextManager:
    """Expect warning OM904 if this processor only emulates a precision, and none if not."""
    emulated = precision != "fp32" and not (HAS_AVX512 if precision == "fp16" else HAS_BF16)
    return pytest.warns(UserWarning, match="OM904") if emulated else nullcontext()
