// Trains with dlib for the comparisons; speaks as compare_eddl does, with the one command "steps N".
//
// The networks are dlib's own examples (dnn_introduction_ex.cpp, dnn_inception_ex.cpp), with the models of the same
// names in the zoo. Input tensors are made before the first step, so that only forward, loss, backward and update are
// timed: what dlib's trainer does on a batch, without its thread, its loader and its copies.
#include <dlib/dnn.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/step/training.h"
#include "runtime/base/time.h"
#include "runtime/data/open.h"

namespace eddl::bench {
namespace {

using nlohmann::json;

template <long kFilters, long kSize, typename Input>
using Conv = dlib::relu<dlib::con<kFilters, kSize, kSize, 1, 1, Input>>;
template <typename Input>
using Pool = dlib::max_pool<2, 2, 2, 2, Input>;
using Image = dlib::input<dlib::matrix<float>>;

using LeNet5 = dlib::loss_multiclass_log<
    dlib::fc<10, dlib::relu<dlib::fc<84, dlib::relu<dlib::fc<120, Pool<Conv<16, 5, Pool<Conv<6, 5, Image>>>>>>>>>>;

template <typename Input>
using A1 = Conv<10, 1, Input>;
template <typename Input>
using A2 = Conv<10, 3, Conv<16, 1, Input>>;
template <typename Input>
using A3 = Conv<10, 5, Conv<16, 1, Input>>;
template <typename Input>
using A4 = Conv<10, 1, dlib::max_pool<3, 3, 1, 1, Input>>;
template <typename Input>
using B1 = Conv<4, 1, Input>;
template <typename Input>
using B2 = Conv<4, 3, Input>;
template <typename Input>
using B3 = Conv<4, 1, dlib::max_pool<3, 3, 1, 1, Input>>;

using InceptionSmall = dlib::loss_multiclass_log<dlib::fc<
    10, dlib::relu<dlib::fc<32, Pool<dlib::inception3<B1, B2, B3, Pool<dlib::inception4<A1, A2, A3, A4, Image>>>>>>>>;

struct Batch {
  dlib::resizable_tensor x;
  std::vector<unsigned long> labels;
};

// Images of one channel, batch by batch, as the network's input layer makes tensors of them.
template <typename Net>
std::vector<Batch> ReadBatches(Net& net, const std::string& path, int64_t size) {
  const DataSplit data = Need(OpenData({.path = path, .format = "npz", .test_fraction = 0.0, .scale = "none"}));
  Need(data.train.WaitFor(data.train.size()));
  const Shape& shape = data.info.sample_shape;
  std::vector<Batch> batches(static_cast<size_t>(data.train.size() / size));
  int64_t row = 0;
  for (Batch& batch : batches) {
    std::vector<dlib::matrix<float>> images;
    for (int64_t i = 0; i < size; ++i, ++row) {
      dlib::matrix<float>& image = images.emplace_back(shape.dim(0), shape.dim(1));
      std::memcpy(image.begin(), data.train.Row(row).data(), data.train.Row(row).size());
      batch.labels.push_back(static_cast<unsigned long>(data.train.Label(row)));
    }
    net.to_tensor(images.begin(), images.end(), batch.x);
  }
  return batches;
}

// The BLAS that the loader chose: it decides dlib's speed.
std::string LoadedBlas() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const size_t path = line.find('/');
    if (path != std::string::npos && line.find("blas", path) != std::string::npos) return line.substr(path);
  }
  return "none";
}

template <typename Net>
void Serve(const std::string& data_path, int64_t batch_size, double learning_rate) {
  Net net;
  std::vector<Batch> batches = ReadBatches(net, data_path, batch_size);
  std::vector<dlib::sgd> solvers(Net::num_computational_layers, dlib::sgd(0.0f, 0.9f));
  size_t next = 0;
  double loss = 0.0;
  const auto step = [&] {
    Batch& batch = batches[next++ % batches.size()];
    loss = net.compute_parameter_gradients(batch.x, batch.labels.begin());
    net.update_parameters(solvers, learning_rate);
  };
  step();
  const json ready = {{"program", "dlib"}, {"version", "19.24"}, {"blas", LoadedBlas()}};
  std::cout << ready.dump() << std::endl;
  for (std::string command; std::cin >> command;) {
    int64_t count = 0;
    std::cin >> count;
    const std::clock_t cpu_begin = std::clock();
    const Instant begin = Now();
    for (int64_t i = 0; i < count; ++i) step();
    const json answer = {{"seconds", (Now() - begin).seconds()},
                         {"cpu_seconds", static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC},
                         {"loss", loss}};
    std::cout << answer.dump() << std::endl;
  }
}

int Main(int argc, char** argv) {
  CLI::App app("Trains with dlib, told by lines on standard input");
  std::string model;
  std::string data_path;
  int64_t batch = 128;
  double learning_rate = 0.001;
  app.add_option("--model", model, "lenet5 or inception_small")->required();
  app.add_option("--data", data_path, "an .npz file with x_train and y_train")->required();
  app.add_option("--batch", batch, "samples a step");
  app.add_option("--learning-rate", learning_rate, "of SGD with momentum 0.9");
  CLI11_PARSE(app, argc, argv);
  if (model == "lenet5") {
    Serve<LeNet5>(data_path, batch, learning_rate);
  } else if (model == "inception_small") {
    Serve<InceptionSmall>(data_path, batch, learning_rate);
  } else {
    Need(InvalidArgument("dlib has no model '" + model + "' here (there are: lenet5, inception_small)"));
  }
  return 0;
}

}  // namespace
}  // namespace eddl::bench

int main(int argc, char** argv) { return eddl::bench::Main(argc, argv); }
