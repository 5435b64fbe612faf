"""The zoo's networks in PyTorch, with the zoo's parameter names, and its weights brought into PyTorch's layout.

EDDL keeps activations NHWC and weights OHWI; PyTorch wants OIHW, and flattens NCHW: so 4-d weights are permuted, and
so are the columns of the dense layer behind the last pooling.
"""
import torch
from torch import nn
from torch.nn import functional


class PerNet(nn.Module):
    flattened = None

    def __init__(self, sample_shape, classes):
        super().__init__()
        widths = [sample_shape[0], 512, 512, 256, 256, 128]
        for i, (fan_in, units) in enumerate(zip(widths, widths[1:] + [classes]), 1):
            setattr(self, f"fc{i}", nn.Linear(fan_in, units))

    def forward(self, x):
        for i in range(1, 6):
            x = functional.relu(getattr(self, f"fc{i}")(x))
        return self.fc6(x)


class LeNet5(nn.Module):
    def __init__(self, sample_shape, classes):
        super().__init__()
        height, width, channels = sample_shape
        self.flattened = ("fc1.weight", (height // 4, width // 4, 16))
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=2)
        self.fc1 = nn.Linear(height // 4 * (width // 4) * 16, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        x = functional.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc3(functional.relu(self.fc2(x)))


class Branch(nn.Module):
    """Convolutions in a row, each with relu, behind a max pooling that keeps the size if `pooled`."""

    def __init__(self, channels, layers, pooled=False):
        super().__init__()
        self.pooled = pooled
        self.count = len(layers)
        for i, (filters, kernel) in enumerate(layers, 1):
            setattr(self, f"conv{i}", nn.Conv2d(channels, filters, kernel, padding=kernel // 2))
            channels = filters

    def forward(self, x):
        if self.pooled:
            x = functional.max_pool2d(x, 3, stride=1, padding=1)
        for i in range(1, self.count + 1):
            x = functional.relu(getattr(self, f"conv{i}")(x))
        return x


class InceptionSmall(nn.Module):
    def __init__(self, sample_shape, classes):
        super().__init__()
        height, width, channels = sample_shape
        self.flattened = ("fc1.weight", (height // 4, width // 4, 12))
        self.a1 = Branch(channels, [(10, 1)])
        self.a2 = Branch(channels, [(16, 1), (10, 3)])
        self.a3 = Branch(channels, [(16, 1), (10, 5)])
        self.a4 = Branch(channels, [(10, 1)], pooled=True)
        self.b1 = Branch(40, [(4, 1)])
        self.b2 = Branch(40, [(4, 3)])
        self.b3 = Branch(40, [(4, 1)], pooled=True)
        self.fc1 = nn.Linear(height // 4 * (width // 4) * 12, 32)
        self.fc2 = nn.Linear(32, classes)

    def forward(self, x):
        x = functional.max_pool2d(torch.cat([self.a1(x), self.a2(x), self.a3(x), self.a4(x)], 1), 2)
        x = functional.max_pool2d(torch.cat([self.b1(x), self.b2(x), self.b3(x)], 1), 2)
        return self.fc2(functional.relu(self.fc1(torch.flatten(x, 1))))


class Shortcut(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 1, stride=stride, bias=False)
        self.bn = nn.BatchNorm2d(filters)

    def forward(self, x):
        return self.bn(self.conv(x))


class ResidualBlock(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut = Shortcut(channels, filters, stride) if stride != 1 or channels != filters else nn.Identity()

    def forward(self, x):
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet20(nn.Module):
    flattened = None

    def __init__(self, sample_shape, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(sample_shape[2], 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels = 16
        for stage, filters in enumerate((16, 32, 64), 1):
            blocks = nn.Module()
            for block in range(1, 4):
                stride = 2 if stage > 1 and block == 1 else 1
                setattr(blocks, f"block{block}", ResidualBlock(channels, filters, stride))
                channels = filters
            setattr(self, f"stage{stage}", blocks)
        self.fc = nn.Linear(64, classes)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        for stage in (self.stage1, self.stage2, self.stage3):
            x = stage.block3(stage.block2(stage.block1(x)))
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))


MODELS = {"pernet": PerNet, "lenet5": LeNet5, "inception_small": InceptionSmall, "resnet20": ResNet20}


def load_parameters(model, parameters, values):
    """Copies EDDL's flat vector `values` into the model. `parameters` is what compare_eddl answers to "export".

    Raises KeyError or RuntimeError if names or shapes do not match.
    """
    state = model.state_dict()
    missing = {name for name in state if not name.endswith("num_batches_tracked")}
    with torch.no_grad():
        for parameter in parameters:
            name, shape, begin = parameter["name"], parameter["shape"], parameter["begin"]
            count = int(torch.tensor(shape).prod())
            value = torch.from_numpy(values[begin:begin + count].copy()).reshape(shape)
            if len(shape) == 4:
                value = value.permute(0, 3, 1, 2)
            elif model.flattened and name == model.flattened[0]:
                value = value.reshape(-1, *model.flattened[1]).permute(0, 3, 1, 2).reshape(shape)
            state[name].copy_(value)
            missing.remove(name)
    if missing:
        raise KeyError(f"no values for {sorted(missing)}")
