"""Compute speaker embeddings with CAM++ (Wang et al. 2023, arXiv 2303.00332), on a CPU or a GPU."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING: Final = 192
BINS: Final = 80
CONTEXT_FRAMES: Final = 100  # frames (of 20 ms) whose mean is the context of each of them
GROWTH: Final = 32  # channels that a layer of a block adds
BLOCKS: Final = ((12, 1), (24, 2), (16, 2))  # layers and dilation of each block


class CamPlusPlus(nn.Module):
    """Compute one embedding per row: features float32 (B, T, 80) with a mean of 0 over T, to (B, 192).

    The names of the parts are those of the released weights (3D-Speaker).
    """

    def __init__(self) -> None:
        super().__init__()
        self.head = _Head()
        parts: dict[str, nn.Module] = {"tdnn": _Tdnn(self.head.channels, 128)}
        channels = 128
        for number, (layers, dilation) in enumerate(BLOCKS, 1):
            parts[f"block{number}"] = _Block(channels, layers, dilation)
            channels += layers * GROWTH
            parts[f"transit{number}"] = _Transit(channels)
            channels //= 2
        parts["out_nonlinear"] = _norm_relu(channels)
        parts["stats"] = _Statistics()
        parts["dense"] = _Dense(2 * channels)
        self.xvector = nn.Sequential()
        for name, part in parts.items():
            self.xvector.add_module(name, part)

    def forward(self, features: Tensor) -> Tensor:
        embedding: Tensor = self.xvector(self.head(features.transpose(1, 2)))
        return embedding


class _Head(nn.Module):
    """Reduce the frequencies to an eighth with convolutions over time and frequency."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 32 * BINS // 8
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(_Residual(2), _Residual(1))
        self.layer2 = nn.Sequential(_Residual(2), _Residual(1))
        self.conv2 = nn.Conv2d(32, 32, 3, stride=(2, 1), padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, features: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(features[:, None])))
        x = functional.relu(self.bn2(self.conv2(self.layer2(self.layer1(x)))))
        return x.flatten(1, 2)


class _Residual(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 3, stride=(stride, 1), padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut.append(nn.Conv2d(32, 32, 1, stride=(stride, 1), bias=False))
            self.shortcut.append(nn.BatchNorm2d(32))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


class _Tdnn(nn.Module):
    """Halve the frame rate."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, out, 5, stride=2, padding=2, bias=False)
        self.nonlinear = _norm_relu(out)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear(self.linear(x))
        return y


class _Block(nn.Module):
    """Run densely connected layers: each one sees the outputs of all before it."""

    def __init__(self, channels: int, layers: int, dilation: int) -> None:
        super().__init__()
        for number in range(layers):
            self.add_module(f"tdnnd{number + 1}", _DenseLayer(channels + number * GROWTH, dilation))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class _DenseLayer(nn.Module):
    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm_relu(channels)
        self.linear1 = nn.Conv1d(channels, 128, 1, bias=False)
        self.nonlinear2 = _norm_relu(128)
        self.cam_layer = _ContextMask(dilation)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))
        return y


class _ContextMask(nn.Module):
    """Weight the channels by the mean over the clip plus the mean over two seconds."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(128, GROWTH, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(128, 64, 1)
        self.linear2 = nn.Conv1d(64, GROWTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = functional.avg_pool1d(x, CONTEXT_FRAMES, CONTEXT_FRAMES, ceil_mode=True)
        context = x.mean(-1, keepdim=True) + means
        mask = torch.sigmoid(self.linear2(functional.relu(self.linear1(context))))
        mask = mask.repeat_interleave(CONTEXT_FRAMES, dim=-1)[..., : x.shape[-1]]
        masked: Tensor = self.linear_local(x) * mask
        return masked


class _Transit(nn.Module):
    """Halve the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = _norm_relu(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(self.nonlinear(x))
        return y


class _Statistics(nn.Module):
    """Return mean and standard deviation over time, (B, 2 C)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(-1), x.std(-1, unbiased=True)], dim=-1)


class _Dense(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, EMBEDDING, 1, bias=False)
        self.nonlinear = nn.Sequential()
        self.nonlinear.add_module("batchnorm", nn.BatchNorm1d(EMBEDDING, affine=False))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.nonlinear(self.linear(x[..., None])[..., 0])
        return y


def _norm_relu(channels: int) -> nn.Sequential:
    sequence = nn.Sequential()
    sequence.add_module("batchnorm", nn.BatchNorm1d(channels))
    sequence.add_module("relu", nn.ReLU())
    return sequence
