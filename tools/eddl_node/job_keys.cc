#include "tools/eddl_node/job_keys.h"

#include <array>

namespace eddl {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr JobRange kAny = {};
constexpr JobRange kFromZero = {.min = 0};
constexpr JobRange kFromOne = {.min = 1};
constexpr JobRange kAboveZero = {.min = 0, .max = kInfinity, .min_excluded = true};
constexpr JobRange kFraction = {.min = 0, .max = 1};
constexpr JobRange kFractionBelowOne = {.min = 0, .max = 1, .max_excluded = true};
constexpr JobRange kInsideUnit = {.min = 0, .max = 1, .min_excluded = true, .max_excluded = true};

constexpr std::string_view kFormats[] = {"auto", "idx", "csv", "npy", "npz", "cifar10", "generate"};
constexpr std::string_view kHeaders[] = {"auto", "yes", "no"};
constexpr std::string_view kBadRows[] = {"error", "skip"};
constexpr std::string_view kPolicies[] = {"shared", "local"};
constexpr std::string_view kScales[] = {"auto", "none", "unit", "standard"};
constexpr std::string_view kModels[] = {"mlp", "pernet", "lenet5", "inception_small", "resnet20", "mobilenet_small"};
constexpr std::string_view kSparse[] = {"auto", "on", "off"};
constexpr std::string_view kOptimizers[] = {"sgd", "adam", "adamw"};
constexpr std::string_view kModes[] = {"auto", "sync", "pipe", "async"};
constexpr std::string_view kCodecs[] = {"auto", "f32", "f16", "exact"};
constexpr std::string_view kSchedules[] = {"constant", "step", "cosine"};

// A captureless accessor of one member.
#define FIELD(member) \
  [](JobConfig & job) -> auto& { return job.member; }

const JobKey kKeys[] = {
    {.name = "seed",
     .field = FIELD(seed),
     .range = kFromZero,
     .doc = "Seed of everything random: initial weights, the order of samples, dropout, the test split, generated "
            "data. The "
            "same job, seed and thread count give the same model."},

    {.name = "data.path",
     .field = FIELD(data.path),
     .on_resume = OnResume::kMayChange,
     .is_path = true,
     .doc = "The training data: a file (IDX, CSV, NPY, NPZ, CIFAR-10 binary; .gz where usual), or a folder with files "
            "under "
            "their usual names. Needed, unless data.format is \"generate\"."},
    {.name = "data.policy",
     .field = FIELD(data_policy),
     .choices = kPolicies,
     .doc =
         "In a cluster: who has the training data. shared: the manager, who gives samples to all. local: each device "
         "its own (`eddl-node join --data`), which never leave it; the manager's are for its own device (`manage "
         "--work`), and schedules count by them."},
    {.name = "data.test_path",
     .field = FIELD(data.test_path),
     .on_resume = OnResume::kMayChange,
     .is_path = true,
     .doc = "The test data. Empty: found beside the training data, or else split from it (data.test_fraction)."},
    {.name = "data.labels_path",
     .field = FIELD(data.labels_path),
     .on_resume = OnResume::kMayChange,
     .is_path = true,
     .doc = "IDX and NPY: the labels of the training data. Empty: the file beside it with the usual name."},
    {.name = "data.x_array",
     .field = FIELD(data.x_array),
     .doc = "NPZ: name of the array of samples. Empty: x_train or x; x_test in the test data."},
    {.name = "data.y_array",
     .field = FIELD(data.y_array),
     .doc = "NPZ: name of the array of labels. Empty: y_train or y; y_test in the test data."},
    {.name = "data.format",
     .field = FIELD(data.format),
     .choices = kFormats,
     .doc = "What the files are. auto: told by their content and names. generate: made up, as data.generate says."},
    {.name = "data.test_fraction",
     .field = FIELD(data.test_fraction),
     .range = kFractionBelowOne,
     .doc = "Fraction of the samples that is set apart for testing, by the seed, where there are no test data. 0: no "
            "test."},
    {.name = "data.label_column",
     .field = FIELD(data.label_column),
     .integer_as_text = true,
     .doc = "CSV: the column that holds the label: a name of the header, or a position from 0; -1 is the last."},
    {.name = "data.header",
     .field = FIELD(data.header),
     .choices = kHeaders,
     .doc = "CSV: whether the first line holds names. auto: yes if most of its fields are not numbers."},
    {.name = "data.on_bad_row",
     .field = FIELD(data.on_bad_row),
     .choices = kBadRows,
     .doc = "CSV: what to do with a row that can't be used (a field that is no number, too few fields). error: stop "
            "and name "
            "it. skip: leave such rows out and count them."},
    {.name = "data.scale",
     .field = FIELD(data.scale),
     .choices = kScales,
     .doc =
         "How features are scaled. unit: divided by 255. standard: to mean 0 and deviation 1, measured on the training "
         "data. auto: unit for bytes, none for numbers."},
    {.name = "data.limit",
     .field = FIELD(data.limit),
     .range = kFromZero,
     .unit = "samples",
     .doc = "Use only the first so many samples of each file. 0: all."},
    {.name = "data.class_count",
     .field = FIELD(data.class_count),
     .range = kFromZero,
     .unit = "classes",
     .doc = "Number of classes; a label beyond it is an error. 0: as many as the labels show."},

    {.name = "data.generate.samples",
     .field = FIELD(data.generate.samples),
     .range = kFromOne,
     .unit = "samples",
     .doc = "Generated data (data.format = \"generate\"): how many, before the test split. Sparse binary vectors whose "
            "label is a noisy function of the features."},
    {.name = "data.generate.features",
     .field = FIELD(data.generate.features),
     .range = kFromOne,
     .doc = "Generated data: length of each vector."},
    {.name = "data.generate.classes",
     .field = FIELD(data.generate.classes),
     .range = {.min = 2},
     .unit = "classes",
     .doc = "Generated data: number of classes."},
    {.name = "data.generate.density",
     .field = FIELD(data.generate.density),
     .range = kInsideUnit,
     .doc = "Generated data: fraction of the features that are 1."},
    {.name = "data.generate.noise",
     .field = FIELD(data.generate.noise),
     .range = kFractionBelowOne,
     .doc = "Generated data: fraction of the labels that are wrong."},

    {.name = "model.name",
     .field = FIELD(model.name),
     .choices = kModels,
     .doc =
         "The network. mlp: dense layers of model.widths. pernet: dense 512-512-256-256-128. lenet5, inception_small, "
         "resnet20, mobilenet_small: convolutional, for images. Input and output widths follow the data."},
    {.name = "model.widths",
     .field = FIELD(model.widths),
     .range = kFromOne,
     .doc = "mlp only: widths of the hidden layers."},
    {.name = "model.dropout",
     .field = FIELD(model.dropout),
     .range = kFractionBelowOne,
     .doc = "mlp, pernet, lenet5: probability that a unit after a hidden dense layer is dropped while training."},
    {.name = "model.sparse_input",
     .field = FIELD(model.sparse_input),
     .choices = kSparse,
     .doc =
         "mlp, pernet: whether the first layer skips zeros of the input. auto: if fewer than a quarter of the training "
         "data's values are not zero."},
    {.name = "model.init",
     .field = FIELD(model.init),
     .on_resume = OnResume::kMayChange,
     .is_path = true,
     .doc = "Start from the weights of this model file, not from random ones. A last layer for other classes starts "
            "anew."},
    {.name = "model.freeze",
     .field = FIELD(model.freeze),
     .doc =
         "Parameters whose names begin with one of these are not trained: [\"conv\"] freezes conv1.weight and others."},

    {.name = "train.epochs",
     .field = FIELD(train.epochs),
     .range = kFromOne,
     .unit = "epochs",
     .on_resume = OnResume::kMayChange,
     .doc = "How often training goes over all the training data. With --resume, more epochs carry a finished run on."},
    {.name = "train.batch",
     .field = FIELD(train.batch),
     .range = kFromOne,
     .unit = "samples",
     .doc = "Samples per optimizer step."},
    {.name = "train.micro_batch",
     .field = FIELD(train.micro_batch),
     .range = kFromZero,
     .unit = "samples",
     .doc = "Samples that are on the device at once; their gradients are added up to the batch. Saves memory. 0: the "
            "whole "
            "batch."},
    {.name = "train.optimizer",
     .field = FIELD(train.optimizer),
     .choices = kOptimizers,
     .doc = "How gradients change the weights."},
    {.name = "train.learning_rate",
     .field = FIELD(train.learning_rate),
     .range = kFromZero,
     .doc = "Step size, before the schedule."},
    {.name = "train.momentum",
     .field = FIELD(train.momentum),
     .range = kFractionBelowOne,
     .doc = "sgd: fraction of the last step's velocity that is kept."},
    {.name = "train.nesterov", .field = FIELD(train.nesterov), .range = kAny, .doc = "sgd: Nesterov's momentum."},
    {.name = "train.weight_decay",
     .field = FIELD(train.weight_decay),
     .range = kFromZero,
     .doc = "Pull of the weights towards 0: added to the gradient (sgd, adam), or applied beside it (adamw)."},
    {.name = "train.beta1",
     .field = FIELD(train.beta1),
     .range = kFractionBelowOne,
     .doc = "adam, adamw: fraction kept of the running mean of gradients."},
    {.name = "train.beta2",
     .field = FIELD(train.beta2),
     .range = kFractionBelowOne,
     .doc = "adam, adamw: fraction kept of the running mean of squared gradients."},
    {.name = "train.epsilon",
     .field = FIELD(train.epsilon),
     .range = kAboveZero,
     .doc = "adam, adamw: added to the denominator."},
    {.name = "train.schedule",
     .field = FIELD(train.schedule),
     .choices = kSchedules,
     .doc = "How the learning rate changes with the samples seen. step: by train.step_factor every train.step_epochs. "
            "cosine: down to train.final_fraction of it at the end of the last epoch."},
    {.name = "train.warmup_epochs",
     .field = FIELD(train.warmup_epochs),
     .range = kFromZero,
     .unit = "epochs",
     .doc = "The learning rate grows linearly from 0 over so many epochs; fractions count."},
    {.name = "train.step_epochs",
     .field = FIELD(train.step_epochs),
     .range = kAboveZero,
     .unit = "epochs",
     .doc = "schedule step: epochs between two steps; fractions count."},
    {.name = "train.step_factor",
     .field = FIELD(train.step_factor),
     .range = {.min = 0, .max = 1, .min_excluded = true},
     .doc = "schedule step: what the learning rate is multiplied by at each step."},
    {.name = "train.final_fraction",
     .field = FIELD(train.final_fraction),
     .range = kFraction,
     .doc = "schedule cosine: the last learning rate, as a fraction of the first."},
    {.name = "train.clip_norm",
     .field = FIELD(train.clip_norm),
     .range = kFromZero,
     .doc = "Scale the mean gradient down to this global norm where it is larger. 0: off."},
    {.name = "train.evaluate_batch",
     .field = FIELD(train.evaluate_batch),
     .range = kFromOne,
     .unit = "samples",
     .on_resume = OnResume::kMayChange,
     .doc = "Samples on the device at once while testing."},
    {.name = "train.checkpoint_steps",
     .field = FIELD(train.checkpoint_steps),
     .range = kFromZero,
     .unit = "steps",
     .on_resume = OnResume::kMayChange,
     .doc = "Save a checkpoint every so many optimizer steps, besides the end of each epoch. 0: only there."},

    {.name = "device.name",
     .field = FIELD(device.name),
     .on_resume = OnResume::kMayChange,
     .doc =
         "What to compute on: auto (the fastest that works), a backend (cpu), its n-th device (opencl:1), all its "
         "devices as one (cuda:all), or the path of a backend plugin (./libmine.so). `eddl-node devices` lists them."},
    {.name = "device.threads",
     .field = FIELD(device.threads),
     .range = kFromOne,
     .unit = "threads",
     .on_resume = OnResume::kMayChange,
     .doc = "Threads that compute. auto: one or all cores, whichever is faster in a few trial steps at the start."},
    {.name = "device.memory_limit_mb",
     .field = FIELD(device.memory_limit_mb),
     .range = kFromZero,
     .unit = "MB (10^6 bytes)",
     .on_resume = OnResume::kMayChange,
     .doc = "Most memory on the device for parameters, gradients, optimizer and a batch's values. A batch that needs "
            "more is "
            "refused with the largest that fits. 0: no limit."},
    {.name = "device.deterministic",
     .field = FIELD(device.deterministic),
     .on_resume = OnResume::kMayChange,
     .doc = "Ask the device for equal bits in every run, also where that is slower. The cpu backend always is, for a "
            "given "
            "number of threads."},
    {.name = "device.backend_dir",
     .field = FIELD(device.backend_dir),
     .on_resume = OnResume::kMayChange,
     .is_path = true,
     .doc = "Folder of the backend plugins. Empty: $EDDL_BACKEND_DIR, else ../lib/eddl/backends beside the program."},

    {.name = "cluster.micro_batch",
     .field = FIELD(cluster.micro_batch),
     .range = kFromOne,
     .unit = "samples",
     .doc = "The smallest piece of work that a device is given. Smaller: work is spread more evenly. Larger: less is "
            "lost to the fixed cost of a piece. Batch norm sees so many samples at a time."},
    {.name = "cluster.mode",
     .field = FIELD(cluster.mode),
     .choices = kModes,
     .on_resume = OnResume::kMayChange,
     .doc =
         "When gradients of a batch are applied. sync: when all of it is there. pipe: while the next one is computed. "
         "async: as they come, none older than the noise of gradients allows. auto: whichever promises most progress "
         "by what is measured; sync alone with sgd and momentum, where late gradients bear far smaller learning "
         "rates."},
    {.name = "cluster.codec",
     .field = FIELD(cluster.codec),
     .choices = kCodecs,
     .doc = "How gradients and parameters travel. f32, f16: as floats. exact: as fixed point, so that the trained "
            "model is "
            "bit for bit the same, however many devices took part. auto: f16 where links are the limit."},
    {.name = "cluster.leaders",
     .field = FIELD(cluster.leaders),
     .range = kFromZero,
     .unit = "devices",
     .on_resume = OnResume::kMayChange,
     .doc = "At most so many devices share the leader's work of adding up gradients. 0: as many as pay."},
    {.name = "cluster.workers_min",
     .field = FIELD(cluster.workers_min),
     .range = kFromOne,
     .unit = "devices",
     .on_resume = OnResume::kMayChange,
     .doc = "How many devices have to be there before training starts."},
    {.name = "cluster.speculate",
     .field = FIELD(cluster.speculate),
     .on_resume = OnResume::kMayChange,
     .doc = "Whether idle devices compute once more what a slow one holds up; only one of the two results counts."},
    {.name = "cluster.parking",
     .field = FIELD(cluster.parking),
     .on_resume = OnResume::kMayChange,
     .doc =
         "Whether devices that the others are faster without get no work, as long as that is so: by their links, when "
         "all are known."},
    {.name = "cluster.patience_epochs",
     .field = FIELD(cluster.patience_epochs),
     .range = kFromZero,
     .unit = "epochs",
     .on_resume = OnResume::kMayChange,
     .doc = "Stop when the test accuracy has not been better for so many epochs. 0: never."},

    {.name = "run.dir",
     .field = FIELD(run.dir),
     .on_resume = OnResume::kMayChange,
     .doc = "The run folder: checkpoints, the trained model, metrics. Relative to the current folder, not to the job "
            "file."},
    {.name = "run.trace",
     .field = FIELD(run.trace),
     .on_resume = OnResume::kMayChange,
     .doc = "Write a trace of the last ops to this file (relative to the current folder), for chrome://tracing or "
            "ui.perfetto.dev. Empty: none."},
    {.name = "run.log_every",
     .field = FIELD(run.log_every),
     .range = kFromZero,
     .unit = "steps",
     .on_resume = OnResume::kMayChange,
     .doc = "Write metrics of every so-many-th step to metrics.jsonl, besides those of each epoch. 0: epochs only."},
};

#undef FIELD

}  // namespace

std::span<const JobKey> JobKeys() { return kKeys; }

const JobKey* FindJobKey(std::string_view name) {
  for (const JobKey& key : kKeys) {
    if (key.name == name) return &key;
  }
  return nullptr;
}

}  // namespace eddl
