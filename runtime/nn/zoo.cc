#include "runtime/nn/zoo.h"

#include <string>
#include <vector>

namespace eddl {
namespace {

// Hidden layers with relu and dropout, then the classes.
void BuildDenseStack(ModelBuilder& b, ValueId x, std::span<const int64_t> widths, const ModelSpec& spec,
                     const ModelInput& input) {
  int layer = 1;
  for (int64_t width : widths) {
    const std::string name = "fc" + std::to_string(layer);
    x = b.Dense(x, name, width, spec.sparse_input && layer == 1);
    x = b.Relu(x, "relu" + std::to_string(layer));
    x = b.Dropout(x, "dropout" + std::to_string(layer), spec.dropout);
    ++layer;
  }
  b.Head(b.Dense(x, "fc" + std::to_string(layer), input.class_count, spec.sparse_input && layer == 1));
}

void BuildMlp(ModelBuilder& b, const ModelSpec& spec, const ModelInput& input) {
  BuildDenseStack(b, b.Input(), spec.widths, spec, input);
}

// PerNet: the malware classifier of the EDDL paper (Hao and Zhang, 2021), F-512-512-256-256-128-K.
void BuildPerNet(ModelBuilder& b, const ModelSpec& spec, const ModelInput& input) {
  constexpr int64_t kWidths[] = {512, 512, 256, 256, 128};
  BuildDenseStack(b, b.Input(), kWidths, spec, input);
}

// LeNet-5 (LeCun et al., 1998) in dlib's variant: same padding, max pooling, relu.
void BuildLenet5(ModelBuilder& b, const ModelSpec& spec, const ModelInput& input) {
  ValueId x = b.Input();
  x = b.Relu(b.Conv2d(x, "conv1", {.filters = 6, .kernel = 5}), "relu1");
  x = b.MaxPool(x, "pool1", {});
  x = b.Relu(b.Conv2d(x, "conv2", {.filters = 16, .kernel = 5}), "relu2");
  x = b.MaxPool(x, "pool2", {});
  constexpr int64_t kWidths[] = {120, 84};
  BuildDenseStack(b, x, kWidths, spec, input);
}

// One branch of an inception block: convolutions in a row, each with relu.
struct BranchLayer {
  int64_t filters;
  int64_t kernel;
};
ValueId BuildBranch(ModelBuilder& b, ValueId x, const std::string& name, std::span<const BranchLayer> layers) {
  int index = 1;
  for (const BranchLayer& layer : layers) {
    const std::string layer_name = name + ".conv" + std::to_string(index++);
    x = b.Relu(b.Conv2d(x, layer_name, {.filters = layer.filters, .kernel = layer.kernel}), layer_name + ".relu");
  }
  return x;
}

// The small inception network that the EDDL prototype trained: dlib's example, after GoogLeNet (Szegedy et al., 2015).
void BuildInceptionSmall(ModelBuilder& b, const ModelSpec&, const ModelInput& input) {
  constexpr PoolOptions kPoolSame = {.kernel = 3, .stride = 1, .padding = Padding::kSame};
  ValueId x = b.Input();
  {
    constexpr BranchLayer k1x1[] = {{10, 1}};
    constexpr BranchLayer k3x3[] = {{16, 1}, {10, 3}};
    constexpr BranchLayer k5x5[] = {{16, 1}, {10, 5}};
    const ValueId parts[] = {BuildBranch(b, x, "a1", k1x1), BuildBranch(b, x, "a2", k3x3),
                             BuildBranch(b, x, "a3", k5x5),
                             BuildBranch(b, b.MaxPool(x, "a4.pool", kPoolSame), "a4", k1x1)};
    x = b.MaxPool(b.Concat(parts, "a"), "pool1", {});
  }
  {
    constexpr BranchLayer k1x1[] = {{4, 1}};
    constexpr BranchLayer k3x3[] = {{4, 3}};
    const ValueId parts[] = {BuildBranch(b, x, "b1", k1x1), BuildBranch(b, x, "b2", k3x3),
                             BuildBranch(b, b.MaxPool(x, "b3.pool", kPoolSame), "b3", k1x1)};
    x = b.MaxPool(b.Concat(parts, "b"), "pool2", {});
  }
  x = b.Relu(b.Dense(x, "fc1", 32), "relu1");
  b.Head(b.Dense(x, "fc2", input.class_count));
}

ValueId BuildResidualBlock(ModelBuilder& b, ValueId x, const std::string& name, int64_t filters, int64_t stride) {
  ValueId y = b.Conv2d(x, name + ".conv1", {.filters = filters, .kernel = 3, .stride = stride, .bias = false});
  y = b.Relu(b.BatchNorm(y, name + ".bn1"), name + ".relu1");
  y = b.Conv2d(y, name + ".conv2", {.filters = filters, .kernel = 3, .bias = false});
  y = b.BatchNorm(y, name + ".bn2");
  if (b.failed()) return kNoValue;
  if (stride != 1 || b.channels(x) != filters) {
    x = b.Conv2d(x, name + ".shortcut.conv", {.filters = filters, .kernel = 1, .stride = stride, .bias = false});
    x = b.BatchNorm(x, name + ".shortcut.bn");
  }
  return b.Relu(b.Add(y, x, name + ".add"), name + ".relu2");
}

// ResNet-20 for small images (He et al., 2016), projections where the shape changes (option B).
void BuildResnet20(ModelBuilder& b, const ModelSpec&, const ModelInput& input) {
  ValueId x = b.Conv2d(b.Input(), "conv1", {.filters = 16, .kernel = 3, .bias = false});
  x = b.Relu(b.BatchNorm(x, "bn1"), "relu1");
  int64_t filters = 16;
  for (int stage = 1; stage <= 3; ++stage, filters *= 2) {
    for (int block = 1; block <= 3; ++block) {
      const std::string name = "stage" + std::to_string(stage) + ".block" + std::to_string(block);
      x = BuildResidualBlock(b, x, name, filters, stage > 1 && block == 1 ? 2 : 1);
    }
  }
  b.Head(b.Dense(b.GlobalAvgPool(x, "pool"), "fc", input.class_count));
}

// Each channel by itself, then all channels at each pixel: a ninth of a 3x3 convolution's work.
ValueId BuildSeparable(ModelBuilder& b, ValueId x, const std::string& name, int64_t filters, int64_t stride) {
  if (b.failed()) return kNoValue;
  const int64_t channels = b.channels(x);
  x = b.Conv2d(x, name + ".depthwise.conv",
               {.filters = channels, .kernel = 3, .stride = stride, .bias = false, .groups = channels});
  x = b.Relu(b.BatchNorm(x, name + ".depthwise.bn"), name + ".depthwise.relu");
  x = b.Conv2d(x, name + ".pointwise.conv", {.filters = filters, .kernel = 1, .bias = false});
  return b.Relu(b.BatchNorm(x, name + ".pointwise.bn"), name + ".pointwise.relu");
}

// MobileNet (Howard et al., 2017) for small images: half its widths, its first five blocks and one more like the fifth,
// and a stem and a fourth block that keep every pixel.
void BuildMobilenetSmall(ModelBuilder& b, const ModelSpec&, const ModelInput& input) {
  struct Block {
    int64_t filters;
    int64_t stride;
  };
  constexpr Block kBlocks[] = {{32, 1}, {64, 2}, {64, 1}, {128, 2}, {128, 1}, {128, 1}};
  ValueId x = b.Conv2d(b.Input(), "conv1", {.filters = 16, .kernel = 3, .bias = false});
  x = b.Relu(b.BatchNorm(x, "bn1"), "relu1");
  int index = 1;
  for (const Block& block : kBlocks) {
    x = BuildSeparable(b, x, "block" + std::to_string(index++), block.filters, block.stride);
  }
  b.Head(b.Dense(b.GlobalAvgPool(x, "pool"), "fc", input.class_count));
}

constexpr ZooEntry kZoo[] = {
    {"inception_small", "two small inception blocks, 32, classes; for images", true, 4, BuildInceptionSmall},
    {"lenet5", "LeNet-5: two 5x5 convolutions, 120, 84, classes; for small images", true, 4, BuildLenet5},
    {"mlp", "dense layers of model.widths, relu", false, 0, BuildMlp},
    {"mobilenet_small", "MobileNet, half as wide: depthwise separable convolutions; for small images", true, 4,
     BuildMobilenetSmall},
    {"pernet", "dense 512-512-256-256-128, relu: the malware network of the EDDL paper", false, 0, BuildPerNet},
    {"resnet20", "ResNet-20: 19 convolutions with batch norm; for small images", true, 4, BuildResnet20},
};

}  // namespace

std::span<const ZooEntry> Zoo() { return kZoo; }

}  // namespace eddl
