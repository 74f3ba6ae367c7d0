"""The residual network of He et al. for small images."""

from jaxtyping import Float
from torch import Tensor, nn

from engine.datasets import Shape
from engine.models._init import initialize
from engine.models._settings import image_inputs, normalization, positive


class BasicBlock(nn.Module):
    """Two convolutions of 3 x 3 pixels, with a shortcut around them or without.

    Where the shape changes the shortcut is a convolution of 1 x 1 pixel (option B).

    Source:
        He et al. 2016a, figure 2 and section 3.3.
    """

    def __init__(self, channels: int, width: int, stride: int, norm: str, residual: bool) -> None:
        super().__init__()
        bias = norm == "none"
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=bias)
        self.norm1 = normalization(norm, width, images=True)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.norm2 = normalization(norm, width, images=True)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module | None = None
        if residual and (channels != width or stride != 1):
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=bias), normalization(norm, width, images=True)
            )
        elif residual:
            self.shortcut = nn.Identity()

    def forward(
        self, inputs: Float[Tensor, "examples channels height width"]
    ) -> Float[Tensor, "examples features rows columns"]:
        """Return the image behind this block."""
        image = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(inputs)))))
        if self.shortcut is not None:
            image = image + self.shortcut(inputs)
        out: Tensor = self.relu2(image)
        return out


class ResNet(nn.Module):
    """A convolution, three stages of residual blocks, the mean over positions and a linear read-out.

    The second and third stage halve the image and double the channels.

    Args:
        shape: of the data, which must be images of any size and number of channels.
        depth: layers with weights, 6 n + 2 for n blocks a stage: 8, 14, 20, ...
        width_factor: multiplies the 16, 32 and 64 channels.
        norm: ``batch``, ``layer`` (over channels and positions of one image) or ``none``, where convolutions
            have a bias.
        residual: whether there are shortcuts; without them it is the paper's plain network.
        init: a name of ``engine.models._init.SCHEMES``.
        init_scale: multiplies the initial weights and biases.

    Raises:
        ValueError: a setting breaks its rule, or the data are no images.

    Source:
        He et al. 2016a, section 4.2; shortcuts by projection (option B) as in Ainsworth et al. 2022.
    """

    def __init__(
        self,
        shape: Shape,
        depth: int = 20,
        width_factor: float = 1.0,
        norm: str = "batch",
        residual: bool = True,
        init: str = "kaiming-normal",
        init_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if not isinstance(depth, int) or depth < 8 or depth % 6 != 2:
            raise ValueError(f"`depth` must be 6 n + 2 with n of at least 1 (8, 14, 20, ...); got {depth!r}.")
        positive(width_factor=width_factor)
        width = round(16 * width_factor)
        if width != 16 * width_factor:
            raise ValueError(f"`width_factor` must make whole numbers of 16 channels; got {width_factor!r}.")
        channels, _, _ = image_inputs(shape)
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=norm == "none")
        self.norm = normalization(norm, width, images=True)
        self.relu = nn.ReLU()
        blocks = list[nn.Module]()
        channels = width
        for stage in range(3):
            for block in range((depth - 2) // 6):
                stride = 2 if stage and not block else 1
                blocks.append(BasicBlock(channels, width * 2**stage, stride, norm, residual))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, shape.outputs)
        initialize(self, init, init_scale)

    def forward(
        self, inputs: Float[Tensor, "examples channels height width"]
    ) -> Float[Tensor, "examples outputs"]:
        """Return the outputs."""
        image = self.blocks(self.relu(self.norm(self.conv(inputs))))
        outputs: Tensor = self.head(image.mean((2, 3)))
        return outputs


MODEL = ResNet
